package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint bounds a checkpoint that is read, in bytes: one has some two
// hundred, and those of witnesses may follow.
const MaxCheckpoint = 16 << 10

var errNoCheckpoint = errors.New("it is not a checkpoint: a signed note of the name, the size and the root of a log")

// sign returns the signed checkpoint of a tree (C2SP tlog-checkpoint): its origin
// is the name of the key.
func sign(tree tlog.Tree, signer note.Signer) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), tree.N, tree.Hash)
	return note.Sign(&note.Note{Text: text}, signer)
}

// ParseCheckpoint returns the tree that a checkpoint is about, after checking its
// origin and its signature.
func ParseCheckpoint(data []byte, verifier note.Verifier) (tlog.Tree, error) {
	if len(data) > MaxCheckpoint {
		return tlog.Tree{}, errNoCheckpoint
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the checkpoint is not signed by %s: %w", verifier.Name(), err)
	}
	lines := strings.SplitN(signed.Text, "\n", 4)
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errNoCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errNoCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, errNoCheckpoint
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}
