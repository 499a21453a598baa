package vault

import "errors"

// Knows reports whether there ever was a key of a tenant; of every tenant, for "",
// it always does.
func (v *Vault) Knows(tenant string) (bool, error) {
	if tenant == "" {
		return true, nil
	}
	_, err := v.tenantKey(tenant, false)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}
