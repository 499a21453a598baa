package regular

import (
	"errors"
	"os"
	"path/filepath"
)

// Sync has what a file holds, or the names in a folder, on the disk before it
// returns: a new name is durable only once its folder was synchronised. The caller
// chose the path. Its errors are of type *fs.PathError.
func Sync(path string) error {
	f, err := openNow(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Replace writes a file that only its owner can read, in the place of one that may be
// there: the one or the other is there, whole, whenever the process ends or the power
// fails. It is on the disk when Replace returns nil.
func Replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone once it was renamed
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return Sync(dir)
}
