package config

import (
	"slices"
	"strings"
)

// minSecret is the least number of bytes of a secret that signs: the output
// size of SHA-256 (RFC 7518 section 3.2).
const minSecret = 32

// sampleSecrets are keys that documents and tutorials print in full. Whoever
// copied one shares it with every reader.
var sampleSecrets = []string{
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", // FastAPI's security tutorial
	"a-string-secret-at-least-256-bits-long",                           // jwt.io
	"your-256-bit-secret",                                              // jwt.io, before
	"your-384-bit-secret",                                              // jwt.io, before
	"your-512-bit-secret",                                              // jwt.io, before
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", // RFC 7515 appendix A.1
	"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",                                            // RFC 7520 section 3.5
	"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",                       // Spring Boot tutorials
	"413F4428472B4B6250655368566D5970337336763979244226452948404D6351",                       // Spring Boot tutorials
	"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",                       // Flask's documentation
	"_5#y2L\"F4Q8z\n\xec]/",                        // Flask's documentation, before
	"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", // the Fernet specification
}

// samplePhrases mark a secret that somebody meant to replace, or that the
// first guesses of an attacker hold.
var samplePhrases = []string{
	"changeme", "change-me", "change_me", "change me", "changethis", "change-this", "change_this", "replaceme",
	"replace-me", "replace_me", "your-secret", "your_secret", "yoursecret", "your-256", "supersecret", "super-secret", "super_secret",
	"my-secret", "my_secret", "mysecret", "topsecret", "top-secret", "top_secret", "secret-key", "secret_key", "secretkey", "jwt-secret", "jwt_secret",
	"jwtsecret", "secret123", "secretsecret", "test-secret", "test_secret", "testsecret", "placeholder", "django-insecure", "keyboard cat",
	"password", "passw0rd", "qwertyuiop", "12345678", "87654321", "abcdefgh", "deadbeef", "lorem ipsum",
}

// weakness says what is wrong with a signing secret, or nothing. The text
// never holds any part of the secret.
func weakness(secret string) string {
	lower := strings.ToLower(secret)
	isSample := func(sample string) bool { return strings.EqualFold(sample, strings.TrimSpace(secret)) }
	holds := func(phrase string) bool { return strings.Contains(lower, phrase) }
	switch {
	case slices.ContainsFunc(sampleSecrets, isSample):
		return "this secret is printed in a public document"
	case slices.ContainsFunc(samplePhrases, holds):
		return "this looks like a sample secret, not a random one"
	case len(secret) < minSecret:
		return "a secret shorter than 32 bytes can be found by trying"
	case distinct(secret) < 8, repeats(secret):
		return "this secret repeats itself, so it is as short as the part that repeats"
	default:
		return ""
	}
}

// distinct returns how many different bytes s holds.
func distinct(s string) int {
	var seen [256]bool
	n := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			n++
		}
	}
	return n
}

// repeats reports whether s is a shorter unit, of fewer bytes than a good
// secret has, over and over (the last one may be cut short).
func repeats(s string) bool {
	for unit := 1; unit < minSecret && unit <= len(s)/2; unit++ {
		if s[unit:] == s[:len(s)-unit] {
			return true
		}
	}
	return false
}
