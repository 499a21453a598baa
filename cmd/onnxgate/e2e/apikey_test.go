package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// keyParts are what a key's text is made of: ogk_, id, _, secret, checksum.
const (
	keyHead     = 17
	keyChecksum = 6
)

// cmdAPIKey makes or rotates a key. No log and no file of the database may show
// it.
func cmdAPIKey(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 2, "apikey NAME ARG...")
	cmd := exec.CommandContext(stateOf(ts).ctx, binary, append(append([]string{"apikey"}, args[1:]...), "--json")...)
	cmd.Dir = ts.Getenv("WORK")
	out, err := cmd.Output()
	ts.Check(err)
	var made struct{ ID, Key string }
	ts.Check(json.Unmarshal(out, &made))
	if len(made.Key) < keyHead+32+keyChecksum {
		ts.Fatalf("the key is %q", made.Key)
	}
	secret := made.Key[keyHead : len(made.Key)-keyChecksum]
	hash := sha256.Sum256([]byte(secret))
	digits := hex.EncodeToString(hash[:])
	name := args[0]
	ts.Setenv(name, made.Key)
	ts.Setenv("ID_"+name, made.ID)
	ts.Setenv("SECRET_"+name, secret)
	ts.Setenv("HASH_"+name, digits)
	for _, s := range []string{made.Key, secret, digits} {
		stateOf(ts).server.keep(s)
	}
}
