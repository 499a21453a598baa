package seal

import (
	"crypto/aes"
	"crypto/subtle"
)

const (
	// maxDigit is the greatest value of a digit of base64url.
	maxDigit = 63
	// invalid marks what is no digit, in bits that no digit has.
	invalid = 0xFF
)

// digits are the values of the alphabet of RFC 4648 section 5.
var digits = func() (table [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range table {
		table[i] = invalid
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	return table
}()

// decode returns the bytes of base64url with padding, and 1 when the text is that,
// in its one form, else 0. It reads a bad text to its end, too: package
// base64 stops at the first byte that is wrong, so that its time would tell which
// one that is, and it skips line ends.
func decode(text []byte) ([]byte, int) {
	whole := len(text) &^ 3
	padding := 0
	for padding < 2 && padding < whole && text[whole-1-padding] == '=' {
		padding++
	}
	raw := make([]byte, whole/4*3)
	var wrong byte // the union of all values: above maxDigit when one is invalid
	for i, j := 0, 0; i < whole-4; i, j = i+4, j+3 {
		wrong |= group(raw[j:j+3], text[i:i+4])
	}
	if whole == 0 {
		return raw, 0
	}
	last := [4]byte{'A', 'A', 'A', 'A'} // zero in the place of the padding
	copy(last[:], text[whole-4:whole-padding])
	wrong |= group(raw[len(raw)-3:], last[:])
	end := len(raw) - padding
	var beyond byte // bits that stand for nothing, and are zero in the one form
	for _, b := range raw[end:] {
		beyond |= b
	}
	return raw[:end], bit(whole == len(text)) & bit(wrong <= maxDigit) & bit(beyond == 0)
}

// group decodes four digits, and returns the union of their values.
func group(raw, text []byte) byte {
	a, b, c, d := digits[text[0]], digits[text[1]], digits[text[2]], digits[text[3]]
	raw[0], raw[1], raw[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
	return a | b | c | d
}

// unpad returns what is before the padding of RFC 5652 section 6.3, and 1 when
// there is such a padding, else all and 0. What it does depends on the length
// alone. There must be a block.
func unpad(text []byte) ([]byte, int) {
	n := int(text[len(text)-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, n)
		same := subtle.ConstantTimeByteEq(text[len(text)-i], byte(n)) //nolint:gosec // G115: it was a byte
		good &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	return text[:len(text)-subtle.ConstantTimeSelect(good, n, 0)], good
}
