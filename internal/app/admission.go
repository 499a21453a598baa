package app

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// openAdmission makes what says whether requests may go ahead, over all protocols.
func (a *App) openAdmission() error {
	rates, err := ratesOf(a.cfg)
	if err != nil {
		return err
	}
	a.admission, err = admission.New(admission.Config{
		Rates: rates, MaxInFlight: a.cfg.MaxInFlight, Processors: runtime.GOMAXPROCS(0),
		QueueTimeout: a.cfg.QueueTimeout, Throttle: a.cfg.Throttle, Quotas: quotas{a}, Now: time.Now,
	})
	return err
}

// ratesOf are those that a reload takes over.
func ratesOf(cfg *config.Config) (rates admission.Rates, err error) {
	if rates.Token, err = identity.ParseRates(cfg.RateToken); err != nil {
		return rates, fmt.Errorf("ONNXGATE_RATE_TOKEN: %w", err)
	}
	if rates.Predict, err = identity.ParseRates(cfg.RatePredict); err != nil {
		return rates, fmt.Errorf("ONNXGATE_RATE_PREDICT: %w", err)
	}
	rates.PerPrincipal = cfg.RatePredictPer == "principal"
	return rates, nil
}

// modelAdmission is what admits the calls of one model, in the words of package
// inference.
type modelAdmission struct{ *admission.Model }

func (m modelAdmission) Enter(ctx context.Context, p *identity.Principal, bytes int64) (inference.Passage, error) { //nolint:ireturn // as inference.Admission
	passage, err := m.Model.Enter(ctx, p, bytes)
	if err != nil {
		return nil, err // and not a nil *admission.Passage in an interface
	}
	return passage, nil
}

// admit returns what admits the calls of a version of the model.
func (a *App) admit(label string, limits *schema.Limits) inference.Admission { //nolint:ireturn // as inference.Admit
	var own admission.Limits
	if limits != nil {
		own = admission.Limits{Rates: limits.Rates, Rows: limits.Rows, Concurrency: limits.Concurrency}
	}
	return modelAdmission{a.admission.Model(label, own)}
}
