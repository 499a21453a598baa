package cli

import (
	"context"
	"slices"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/keys"
)

// openTokenKeys opens the keys that sign access tokens. They are the
// installation's: no tenant has some of its own.
func openTokenKeys(ctx context.Context, cfg *config.Config) (*keyring, error) {
	set, done, err := app.OpenKeys(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &keyring{
		list: func(_ context.Context, tenant string) ([]keyView, error) {
			if tenant != accounts.AnyTenant {
				return nil, nil // no tenant has one of its own
			}
			return tokenViews(set, ""), nil
		},
		rotate: func(ctx context.Context, tenant string) ([]keyView, error) {
			if tenant != accounts.AnyTenant {
				return nil, usagef("tenants do not have their own token keys; leave out --tenant")
			}
			if err := set.Rotatable(); err != nil { // or it would be on record, and not be done
				return nil, err
			}
			if err := app.RecordKey(ctx, cfg, localActor().Name, audit.KeyRotate, "", "", keys.Active); err != nil {
				return nil, err
			}
			return rotateTokenKey(ctx, set)
		},
		retire: func(ctx context.Context, kid string) ([]keyView, error) {
			if len(tokenViews(set, kid)) == 0 {
				return nil, unknownKey(fault.Newf(fault.NotFound, "there is no key %s", kid))
			}
			state, err := set.Retirable(ctx, kid)
			if err != nil {
				return nil, err
			}
			if err := app.RecordKey(ctx, cfg, localActor().Name, audit.KeyRetire, kid, state, keys.Retired); err != nil {
				return nil, err
			}
			if err := set.Retire(ctx, kid); err != nil {
				return nil, err
			}
			return tokenViews(set, kid), nil
		},
		close: done,
	}, nil
}

func rotateTokenKey(ctx context.Context, set *keys.Set) ([]keyView, error) {
	made, err := set.Rotate(ctx)
	if err != nil {
		return nil, err
	}
	return tokenViews(set, made.KID), nil
}

// tokenViews returns the keys, or the one of that name.
func tokenViews(set *keys.Set, kid string) []keyView {
	var views []keyView
	for _, k := range set.List() {
		v := keyView{KID: k.KID, Use: useToken, Alg: string(k.Algorithm), State: string(k.State)}
		if !k.Created.IsZero() {
			created := k.Created.UTC()
			v.Created = &created
		}
		views = append(views, v)
	}
	return slices.DeleteFunc(views, func(v keyView) bool { return kid != "" && v.KID != kid })
}
