package app

import (
	"context"
	"runtime"

	"onnxgate/internal/admission"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// openAdmission makes what says whether requests may go ahead, over all protocols.
func (a *App) openAdmission() (err error) {
	a.admission, err = admission.New(admission.Config{
		Shared: a.sharedLimits(), Rates: ratesOf(a.cfg), MaxInFlight: a.cfg.MaxInFlight, Processors: runtime.GOMAXPROCS(0),
		QueueTimeout: a.cfg.QueueTimeout, Throttle: a.cfg.Throttle, Quotas: quotas{a}, Now: a.clock.Now,
		OneTenant: a.oneTenant.Load,
	})
	return err
}

// ratesOf are those that a reload takes over.
func ratesOf(cfg *config.Config) admission.Rates {
	return admission.Rates{Token: cfg.RateToken, Predict: cfg.RatePredict.Requests, Rows: cfg.RatePredict.Rows, PerPrincipal: cfg.RatePredictPer == "principal"}
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
