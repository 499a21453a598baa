package identity

// IsRole reports whether s can be a role: 1 to 64 characters of a-z, 0-9, _ and
// -, beginning with a letter.
func IsRole(s string) bool {
	return made(s, 64, func(c byte) bool { return isSmall(c) || isDigit(c) || c == '_' || c == '-' }) && isSmall(s[0])
}

// IsTenant reports whether s can be the name of a tenant: 1 to 63 characters of
// a-z, 0-9 and -, beginning with a letter or a digit.
func IsTenant(s string) bool {
	return made(s, 63, func(c byte) bool { return isSmall(c) || isDigit(c) || c == '-' }) && s[0] != '-'
}

// IsUser reports whether s is the one spelling of a user's name: 1 to 64
// characters of a-z, 0-9 and . _ @ -, beginning with a letter or a digit.
func IsUser(s string) bool {
	return made(s, 64, func(c byte) bool {
		return isSmall(c) || isDigit(c) || c == '.' || c == '_' || c == '@' || c == '-'
	}) && (isSmall(s[0]) || isDigit(s[0]))
}

// IsModel reports whether s can be the name of a model, which is a folder and a
// part of paths: 1 to 128 characters of A-Z, a-z, 0-9 and _ . -, beginning with a
// letter or a digit.
func IsModel(s string) bool {
	return made(s, 128, func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '_' || c == '.' || c == '-'
	}) && (isLetter(s[0]) || isDigit(s[0]))
}

// made reports whether s has 1 to most bytes, each of them allowed. Names are
// checked so, and not by regular expressions, because those of bounded length
// compile to one program for each place: megabytes that every start makes.
func made(s string, most int, allowed func(byte) bool) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

func isSmall(c byte) bool  { return 'a' <= c && c <= 'z' }
func isLetter(c byte) bool { return isSmall(c | 0x20) }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
