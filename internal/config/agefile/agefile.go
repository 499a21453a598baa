// Package agefile opens and makes small files in the age format
// (age-encryption.org/v1), binary or armored, as the age command does: for
// recipients with a key, or for a passphrase. Everything is in memory and bounded.
//
// It must not know what the files hold, nor read any itself.
package agefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// MaxText is the longest text that is sealed or opened, in bytes.
	MaxText = 1 << 20
	// MaxFile is more than the longest file of such a text, armored, for dozens of
	// recipients.
	MaxFile = 2 << 20
	// workFactor is what the age command uses for a passphrase, and the most that
	// is accepted: 2¹⁸, which takes 256 MiB and about a second.
	workFactor = 18
)

// intro is how every file in the binary format begins.
const intro = "age-encryption.org/v1\n"

// IsSealed reports whether the data is an age file.
func IsSealed(data []byte) bool {
	return bytes.HasPrefix(data, []byte(intro)) || isArmored(data)
}

func isArmored(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte(armor.Header))
}

// Open returns the text of an age file. Secret is what opens it: a file of
// identities (AGE-SECRET-KEY-1…, one a line), or where the file was made for a
// passphrase, that. Errors are for the operator, and hold nothing of either.
func Open(data, secret []byte) ([]byte, error) {
	header, err := age.ExtractHeader(unarmored(data))
	if err != nil {
		return nil, fmt.Errorf("it is not an age file: %w", err)
	}
	identities, err := identitiesFor(header, secret)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(unarmored(data), identities...)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, errors.New("it was made for another identity or passphrase")
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if len(text) > MaxText {
		return nil, fmt.Errorf("its text has more than %d bytes", MaxText)
	}
	return text, err
}

func unarmored(data []byte) io.Reader {
	if isArmored(data) {
		return armor.NewReader(bytes.NewReader(data))
	}
	return bytes.NewReader(data)
}

// identitiesFor reads the secret as what the file asks for. Only a file for a
// passphrase has a stanza of that kind, and then no other.
func identitiesFor(header, secret []byte) ([]age.Identity, error) {
	if !bytes.Contains(header, []byte("\n-> scrypt ")) {
		return parseIdentities(secret)
	}
	identity, err := age.NewScryptIdentity(trimNewline(string(secret)))
	if err != nil {
		return nil, errors.New("it was made for a passphrase, and none is given")
	}
	identity.SetMaxWorkFactor(workFactor)
	return []age.Identity{identity}, nil
}

func parseIdentities(secret []byte) ([]age.Identity, error) {
	identities, err := age.ParseIdentities(bytes.NewReader(secret))
	if err != nil {
		return nil, errNoIdentity // age's own error may show a part of it
	}
	return identities, nil
}

var errNoIdentity = errors.New("the identity file holds no age identities (AGE-SECRET-KEY-1…, as age-keygen writes them)")

// trimNewline removes one line end, which is not part of a passphrase.
func trimNewline(s string) string {
	if t, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(t, "\r")
	}
	return s
}

// Recipients returns those with public keys (age1…).
func Recipients(keys []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, key := range keys {
		parsed, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil || len(parsed) != 1 {
			return nil, fmt.Errorf("%.80q is not a recipient; write a public key, age1…, as age-keygen prints it", key)
		}
		all = append(all, parsed...)
	}
	return all, nil
}

// RecipientsOf returns the recipients that a file of identities stands for.
func RecipientsOf(secret []byte) ([]age.Recipient, error) {
	identities, err := parseIdentities(secret)
	if err != nil {
		return nil, err
	}
	var all []age.Recipient
	for _, identity := range identities {
		switch identity := identity.(type) {
		case *age.X25519Identity:
			all = append(all, identity.Recipient())
		case *age.HybridIdentity:
			all = append(all, identity.Recipient())
		default:
			return nil, fmt.Errorf("an identity of type %T has no recipient here", identity)
		}
	}
	return all, nil
}

// Passphrase returns the recipient that a passphrase stands for.
func Passphrase(passphrase string) ([]age.Recipient, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, errors.New("the passphrase is empty")
	}
	r.SetWorkFactor(workFactor)
	return []age.Recipient{r}, nil
}

// Seal returns the age file of a text.
func Seal(text []byte, recipients []age.Recipient, armored bool) ([]byte, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the text has more than %d bytes", MaxText)
	}
	var file bytes.Buffer
	if !armored {
		err := encrypt(&file, text, recipients)
		return file.Bytes(), err
	}
	a := armor.NewWriter(&file)
	err := errors.Join(encrypt(a, text, recipients), a.Close())
	return file.Bytes(), err
}

func encrypt(dst io.Writer, text []byte, recipients []age.Recipient) error {
	w, err := age.Encrypt(dst, recipients...)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return errors.Join(err, w.Close())
}
