package config

import (
	"time"

	"onnxgate/internal/identity"
)

// rateSettings are about how much is served, and how fast.
func rateSettings() []Setting {
	const wantRate = "N/second, N/minute, N/hour or N/day, such as 10/minute; several with commas between, such as 10/second, 200/minute"
	return []Setting{
		{
			Name: "ONNXGATE_RATE_TOKEN", Default: "5/minute", Live: true,
			Doc:     "Requests for a token that one address may make.",
			Want:    wantRate + "; or off",
			binding: bind(func(c *Config) *identity.Rates { return &c.RateToken }, parseRate(identity.ParseRates), identity.Rates.String),
		},
		{
			Name: "ONNXGATE_RATE_PREDICT", Default: "10/minute", Live: true,
			Doc:     "Predictions that one address may ask for, over all routes that predict, seal or open.",
			Want:    wantRate + "; with ONNXGATE_RATE_PREDICT_PER=principal also rows, such as 10/minute, 5000 rows/minute; or off",
			binding: bind(func(c *Config) *identity.Limit { return &c.RatePredict }, parseRate(identity.ParseLimit), identity.Limit.String),
		},
		{
			Name: "ONNXGATE_RATE_PREDICT_PER", Default: "address", Live: true,
			Doc:     "Whose predictions ONNXGATE_RATE_PREDICT counts: those of each address, or, for many users behind one address, those of each principal.",
			Want:    "address or principal",
			binding: text(func(c *Config) *string { return &c.RatePredictPer }),
		},
		{
			Name: "ONNXGATE_THROTTLE", Default: "0s",
			Doc:     "How long a request over a rate waits for the next window before it is refused; 0s: it is refused at once.",
			Want:    "a duration from 0s to 5s, such as 2s: the header and a short body together have 10s, with the wait between them",
			binding: bind(func(c *Config) *time.Duration { return &c.Throttle }, ParseDuration, formatDuration),
		},
		{
			Name: "ONNXGATE_MAX_IN_FLIGHT", Default: "0",
			Doc:     "Predictions that are computed at once, over all protocols; others wait. 0: one for each processor, and large batches in addition.",
			Want:    "a whole number from 1 to 100000, or 0",
			binding: bind(func(c *Config) *int { return &c.MaxInFlight }, parseCount, formatInFlight),
		},
		{
			Name: "ONNXGATE_QUEUE_TIMEOUT", Default: "2s",
			Doc:     "How long a prediction waits for its turn before it is refused (503).",
			Want:    "a duration from 0s to 30s, such as 2s",
			binding: bind(func(c *Config) *time.Duration { return &c.QueueTimeout }, ParseDuration, formatDuration),
		},
	}
}
