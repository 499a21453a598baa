package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The lengths of random texts in base62: 71 bits name a record, 256 keep a
// secret.
const (
	idChars     = 12
	secretChars = 43
)

// randomText returns n characters of base62, each as likely as any other.
func (s *Service) randomText(n int) (string, error) {
	text := make([]byte, 0, n)
	var b [64]byte
	for {
		if _, err := io.ReadFull(s.rand, b[:]); err != nil {
			return "", err
		}
		for _, v := range b {
			v &= 63 // one of 64, of which two are thrown away
			if int(v) < len(base62) {
				text = append(text, base62[v])
			}
			if len(text) == n {
				return string(text), nil
			}
		}
	}
}

// hashOf returns the hexadecimal SHA-256 of a random secret. A secret of 256
// bits needs no slower hash: nobody can try them all.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
