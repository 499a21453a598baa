package sealing_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
)

func TestServersGoOnWhileTheKeyEncryptionKeyIsRotated(t *testing.T) {
	store, kek := &memory{}, kekFile(t)
	cfg := sealing.Config{Store: store, KEKFile: kek, PollInterval: time.Nanosecond}
	server, command := open(t, cfg), open(t, cfg)
	sealed := map[string]string{}
	ended := make(chan error, 1)
	go func() {
		for range 50 {
			if _, err := command.RotateKEK(context.WithoutCancel(t.Context()), "admin", true); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for i, running := 0, true; running; i++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		tenant := "t" + strconv.Itoa(i%500) // of which most have no key yet
		sealed[sealText(t, server, tenant, tenant)] = tenant
	}
	for _, s := range []*sealing.Service{server, command, open(t, cfg)} {
		for token, tenant := range sealed {
			if text, err := s.Open(t.Context(), caller(tenant), token, seal.AnyAge); err != nil || text != tenant {
				t.Fatalf("%s: %q, %v", tenant, text, err)
			}
		}
	}
}

func TestAKeyEncryptionKeyOfTheOperatorsIsTakenFromItsFile(t *testing.T) {
	store, kek := &memory{}, kekFile(t)
	service := open(t, sealing.Config{Store: store, KEKFile: kek})
	token := sealText(t, service, "acme", "text")
	old, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(kek, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := service.RotateKEK(t.Context(), "admin", false); kindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "openssl rand") {
		t.Errorf("without a new key: %v", err)
	}
	fresh := "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	write(fresh + string(old))
	for _, want := range []sealing.KEKRotation{{Wrapped: 1}, {Nothing: true}} {
		if done, err := service.RotateKEK(t.Context(), "admin", false); err != nil || done != want {
			t.Errorf("%+v, %v; want %+v", done, err, want)
		}
	}
	if left, err := os.ReadFile(kek); err != nil || string(left) != fresh+string(old) {
		t.Errorf("the operator's file was changed: %q, %v", left, err)
	}
	write(fresh)
	for _, s := range []*sealing.Service{service, open(t, sealing.Config{Store: store, KEKFile: kek})} {
		if text, err := s.Open(t.Context(), caller("acme"), token, seal.AnyAge); err != nil || text != "text" {
			t.Errorf("without the former key: %q, %v", text, err)
		}
	}
	write(string(old)) // by mistake: nothing may be wrapped under it
	sealText(t, service, "globex", "text")
	write(fresh)
	open(t, sealing.Config{Store: store, KEKFile: kek})
	if err := os.Remove(kek); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Seal(t.Context(), caller("initech"), "text"); kindOf(err) != fault.Unavailable {
		t.Errorf("a key was made that nothing will open: %v", err)
	}
}

func TestAFormerKeyEncryptionKeyStaysUntilEverythingElseIsRewrapped(t *testing.T) {
	store, kek := &memory{}, kekFile(t)
	broken := errors.New("broken")
	log := &outside{second: 2, rewrap: func() error {
		if now, err := seal.ReadKEK(kek); err != nil || !now.Rotating() {
			t.Errorf("the former key is gone (%v)", err)
		}
		return broken
	}}
	s := open(t, sealing.Config{Store: store, KEKFile: kek, Outside: log})
	token := sealText(t, s, "acme", "text")
	if _, err := s.RotateKEK(t.Context(), "admin", true); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if now, err := seal.ReadKEK(kek); err != nil || !now.Rotating() {
		t.Errorf("the former key is gone (%v)", err)
	}
	broken = nil
	if done, err := s.RotateKEK(t.Context(), "admin", true); err != nil || done != (sealing.KEKRotation{Wrapped: 2, Resumed: true}) {
		t.Errorf("%+v, %v", done, err)
	}
	if now, err := seal.ReadKEK(kek); err != nil || now.Rotating() {
		t.Errorf("the former key is still there (%v)", err)
	}
	if text, err := s.Open(t.Context(), caller("acme"), token, seal.AnyAge); err != nil || text != "text" {
		t.Errorf("%q, %v", text, err)
	}
}
