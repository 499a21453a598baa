package inference

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onnxgate/internal/identity"
)

// How long the versions that one load compiles may take to warm up together: a start
// waits for that, and so does whoever has another model loaded. Those of the default
// tenant, whose models the operator chose, have as much as all others together.
const (
	warmDefault = 10 * time.Second
	warmTenant  = time.Second // those of each other
	warmOthers  = 10 * time.Second
)

// warmth is what the warm-ups of one load have taken.
type warmth struct {
	byTenant map[string]time.Duration
	others   time.Duration // of all but the default tenant
}

// left returns how long the next version of a tenant may take.
func (w *warmth) left(tenant string) time.Duration {
	if tenant == identity.DefaultTenant {
		return warmDefault - w.byTenant[tenant]
	}
	return min(warmTenant-w.byTenant[tenant], warmOthers-w.others)
}

func (w *warmth) spend(tenant string, took time.Duration) {
	w.byTenant[tenant] += took
	if tenant != identity.DefaultTenant {
		w.others += took
	}
}

// warm has a version predict once while there is time for that, so that the first
// request finds everything built. One that does not become warm is served as it is,
// with a warning.
func (w *warmth) warm(v *version, cfg *Config) {
	left := w.left(v.tenant)
	if left <= 0 {
		v.warnings = append(v.warnings, "its first prediction may take longer: other models took the time for predictions before the first request")
		return
	}
	began := cfg.Now()
	if err := v.warm(left); err != nil {
		v.warnings = append(v.warnings, err.Error())
	}
	w.spend(v.tenant, cfg.Now().Sub(began))
}

// warm predicts with the example of the contract. A model of which no example can be
// made stays cold. Who asks for a load may go away; what is half loaded would be of no
// use.
//
//nolint:contextcheck,nolintlint // see above; the first works at the callers
func (v *version) warm(most time.Duration) error {
	example := v.schema.Example()
	if example == nil {
		return nil
	}
	call := v.newCall()
	if err := v.schema.Decode(context.Background(), call.batch, example, 1); err != nil {
		return notWarm(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	if err := v.runCold(ctx, call); err != nil {
		return err
	}
	call.keep()
	return nil
}

func (v *version) runCold(ctx context.Context, call *Call) error {
	p, bounded := v.program.(Warmer)
	if !bounded {
		return notWarm(v.program.Run(ctx, call.batch.Inputs, call.outputs))
	}
	enough, err := p.Warm(ctx, call.batch.Inputs, call.outputs)
	if !enough {
		return errors.New("its first prediction may take longer: the example row of its contract takes more memory than a prediction before the first request may")
	}
	return notWarm(err)
}

// notWarm says of an error of the engine or the contract whose row it is of.
func notWarm(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the example row of its contract does not predict: %w", err)
}
