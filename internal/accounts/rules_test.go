package accounts_test

import (
	"strings"
	"testing"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

func TestCanonicalName(t *testing.T) {
	for name, want := range map[string]string{
		"ada": "ada", "Ada": "ada", "ADMIN": "admin", "ａｄｍｉｎ": "admin", "Ａdmin": "admin", "ﬁona": "fiona", "\u212Aelvin": "kelvin", "\u0130da": "ida",
		"ada.l@example.com": "ada.l@example.com", "0": "0", "svc-scoring_2": "svc-scoring_2", strings.Repeat("a", 64): strings.Repeat("a", 64),
	} {
		got, err := accounts.CanonicalName(name)
		if err != nil || got != want {
			t.Errorf("CanonicalName(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", " ada", "ada ", "a b", "-ada", ".ada", "_ada", "@ada", "ada\n", "ada\x00", "ada/..", "ада", "ädä", "ada\u200b", "adm\u0131n",
		"a\u0301", "ada\u00ad", "\u202eada", "ada\ufeff", "ada'", "a%", "a*", strings.Repeat("a", 65), strings.Repeat("a", 1<<20), "\xff",
	} {
		got, err := accounts.CanonicalName(name)
		if fault.KindOf(err) != fault.Content || got != "" {
			t.Errorf("CanonicalName(%.20q) = %q, %v, want a refusal", name, got, err)
		}
	}
}

func TestCanonicalNamesStayAsTheyAre(t *testing.T) {
	for _, name := range []string{"Ada", "ﬀ", "ＡＤＡ", "x@Y.z"} {
		once, err := accounts.CanonicalName(name)
		must(t, err)
		twice, err := accounts.CanonicalName(once)
		if err != nil || once != twice {
			t.Errorf("%q becomes %q and then %q, %v", name, once, twice, err)
		}
	}
}

func TestGoodPasswordsAreAccepted(t *testing.T) {
	for _, password := range []string{
		"lamp-violet-orbit-42", "staple horse correct battery", "a quiet Sunday in Lisbon", "uxk3v9qn2mz7hbd",
		"Tr0ub4dor&3 and more", "пароль из пяти слов", "十五文字以上の安全な合言葉です夜明け", "🦀🐙🦑🐠🐬🐳🦈🐡🦞🦐🐚🪸🐟🐋🦭",
		"analyst-password-for-monday", "my admin password is secret but long", "   spaces count as well   x",
		"nine-password-words-here", strings.Repeat("ab1-xyz ", 2) + "tail-end", randomLike(256),
	} {
		if err := accounts.CheckPassword("ada", password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// randomLike returns n characters without a pattern.
func randomLike(n int) string {
	b := make([]byte, n)
	for i, x := 0, uint32(2463534242); i < n; i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = '!' + byte(x%90)
	}
	return string(b)
}

func TestBadPasswordsAreRefused(t *testing.T) {
	for password, want := range map[string]string{
		"":                       "0 characters",
		"x":                      "has 1 character;",
		"too-short":              "openssl rand -base64 24",
		"letmein letmein1":       "openssl rand -base64 24",
		"password":               "8 characters",
		"admin":                  "5 characters",
		"uxk3v9qn2mz7hb":         "14 characters",
		"u\u0301xk3v9qn2mz7hb":   "14 characters", // two code points, one after NFC
		randomLike(257):          "257 characters",
		strings.Repeat("é", 600): "longer than 1024 bytes",
		"lamp-violet-orbit\n42":  "control characters",
		"lamp-violet-orbit\x00":  "control characters",
		"lamp-violet-orbit\xff":  "UTF-8",
		"passwordpassword":       "too easy",
		"PasswordPassword":       "too easy",
		"password1234567":        "too easy",
		"Password123456!":        "too easy",
		"p@ssw0rdp@ssw0rd":       "too easy",
		"adminadminadmin":        "too easy",
		"admin1234567890":        "too easy",
		"administrator123":       "too easy",
		"changemechangeme":       "too easy",
		"letmeinletmein1":        "too easy",
		"123456789012345":        "too easy",
		"987654321098765":        "too easy",
		"111111111111111":        "too easy",
		"aaaaaaaaaaaaaaab":       "too easy",
		"abcdefghijklmnop":       "too easy",
		"zyxwvutsrqponmlk":       "too easy",
		"qwertyuiopasdfgh":       "too easy",
		"poiuytrewqlkjhgf":       "too easy",
		"1qaz2wsx3edc4rfv":       "too easy",
		"1q2w3e4r5t6y7u8i":       "too easy",
		"q1w2e3r4t5y6u7i8":       "too easy",
		"iloveyouforever":        "too easy",
		"welcome2welcome2":       "too easy",
		"onnxgateonnxgate":       "too easy",
		"OnnxgateAdmin2026":      "too easy",
		"irismodelserver1":       "too easy",
		"iloveyousomuch123":      "too easy",
		"ilovemyboyfriend":       "too easy",
		"ilovemyhusband1":        "too easy",
		"ilovejustinbieber":      "too easy",
		"imissyousomuch1":        "too easy",
		"bestfriendsforever":     "too easy",
		"bestfriends4ever":       "too easy",
		"newcastleunited":        "too easy",
		"christopherrobin":       "too easy",
		"spongebobsquarepants":   "too easy",
		"winniethepooh123":       "too easy",
		"harrypotter12345":       "too easy",
		"hellokitty123456":       "too easy",
		"backstreetboys1":        "too easy",
		"147258369147258":        "too easy",
		"147852369147852":        "too easy",
		"741852963741852":        "too easy",
		"mynameisnobody1":        "too easy",
		"realmadridcf1902":       "too easy",
		"liverpoolfc1892":        "too easy",
		"marilynmonroe123":       "too easy",
		"arsenalarsenal1":        "too easy",
		"linkinparklinkin":       "too easy",
		"nirvananirvana12":       "too easy",
		"wolverinewolverine99":   "too easy",
		"ada-lovelaceadaada":     "", // accepted below: unrelated words
		"lovelacelovelace1915":   "too easy",
		"lovelaceadmin2026":      "too easy",
		"xk7q2xk7q2xk7q2xk7q2":   "too easy",
		"changeme-changeme-":     "too easy",
		"abababababababab":       "too easy",
		"ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ":                            "too easy",
		"january2025february2026":                     "too easy",
		"correct horse battery staple":                "too easy",
		"Correct-Horse-Battery-Staple1":               "too easy",
		"correcthorsebatterystaple":                   "too easy",
		"may the force be with you":                   "too easy",
		"The quick brown fox jumps over the lazy dog": "too easy",
		"my admin password is secret-ish":             "too easy",
		"my secret password is admin":                 "too easy",
		"admin_admin_password":                        "too easy",
	} {
		err := accounts.CheckPassword("lovelace", password)
		if want == "" {
			must(t, err)
			continue
		}
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", password, err, want)
		}
		if len(password) > len("password") && err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q: the message shows the password", password)
		}
	}
}
