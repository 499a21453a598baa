package modelstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/modelstore"
)

func TestARemovedVersionIsGoneAndItsRoomIsFree(t *testing.T) {
	dir := t.TempDir()
	s, err := modelstore.Open(modelstore.Config{Dir: dir, MaxBytes: 1 << 10, Tenant: modelstore.Bounds{MaxBytes: 1 << 10}})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	iris := modelstore.Model{Tenant: "acme", Name: "iris"}
	must(t, pushText(s, iris, "1", strings.Repeat("a", 1000)))
	if err := pushText(s, iris, "2", strings.Repeat("b", 1000)); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("beyond the bound: %v", err)
	}
	must(t, s.Remove(iris, "1"))
	must(t, pushText(s, iris, "2", strings.Repeat("b", 1000)))
	must(t, s.Remove(iris, ""))
	if left := tree(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "@acme", "iris")); !os.IsNotExist(err) {
		t.Errorf("the model's folder: %v", err)
	}
}

func TestOnlyVersionsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, pushText(s, ofDefault("iris"), "1", "one"))
	elsewhere := t.TempDir()
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "iris", "2")))
	before := tree(t, dir)
	for version, want := range map[string]fault.Kind{
		"3": fault.NotFound, "..": fault.NotFound, "01": fault.NotFound, "model.yaml": fault.NotFound, "2": fault.Conflict,
	} {
		if err := s.Remove(ofDefault("iris"), version); fault.KindOf(err) != want {
			t.Errorf("%s: %v, want %v", version, err, want)
		}
	}
	if err := s.Remove(ofDefault("none"), "1"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of no model: %v", err)
	}
	if err := s.Remove(ofDefault(".."), "1"); fault.KindOf(err) != fault.Content {
		t.Errorf("of no name: %v", err)
	}
	if after := tree(t, dir); len(after) != len(before) {
		t.Errorf("left: %v, before %v", after, before)
	}
}

func TestAVersionThatIsPushedLeavesRoomForNewerOnes(t *testing.T) {
	s := open(t, t.TempDir())
	if err := pushText(s, ofDefault("iris"), "9007199254740992", "one"); fault.KindOf(err) != fault.Content {
		t.Errorf("2^53: %v", err)
	}
	must(t, pushText(s, ofDefault("iris"), "9007199254740991", "one"))
}
