package regular

import (
	"errors"
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
