package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/tracing"
)

// flushTime is how long a stop waits for a collector to take the last spans.
const flushTime = 3 * time.Second

// readOTLP reads what the configuration says about a collector.
func readOTLP(cfg *config.Config, version string) (*otlp.Settings, error) {
	return otlp.ReadSettings(cfg.OTLPEndpoint, version, func(name string) string { return cfg.OTel[name].Reveal() })
}

// openTraces makes what sends traces; nothing where none are sent.
func (a *App) openTraces() error {
	settings, err := readOTLP(a.cfg, a.opts.Version)
	if err != nil {
		return err
	}
	sampling := tracing.Config{
		Now: time.Now, Sampler: settings.Sampler, SamplerArg: settings.SamplerArg, Propagate: settings.Propagate,
	}
	if settings.Traces == nil {
		return nil
	}
	client, err := otlp.NewClient(settings.Traces, otlp.Traces, userAgent(a.opts.Version))
	if err != nil {
		return err
	}
	a.spanClient = client
	a.spans = otlp.NewBatcher(otlp.BatcherConfig{
		Exporter: client, Envelope: otlp.NewEnvelope(settings.Resource, "onnxgate", a.opts.Version),
		Batch: settings.Batch, Failed: a.spansLost, Now: time.Now,
	})
	sampling.Queue = a.spans
	if a.traces, err = tracing.New(sampling); err != nil {
		return err
	}
	a.metrics.Counters("onnxgate_trace_spans_total", "Spans of traces, by what became of them: sent, or dropped because the collector was away or did not take them.", "result",
		func(show func(string, float64)) {
			counts := a.spans.Counts()
			show("sent", float64(counts.Sent))
			show("dropped", float64(counts.Dropped))
		})
	return nil
}

func userAgent(version string) string { return "onnxgate/" + version }

// spansLost logs that spans were lost, now and then.
func (a *App) spansLost(items int, err error) {
	if now := time.Now(); now.Sub(a.lostSpans) > time.Minute {
		a.lostSpans = now
		a.log.LogAttrs(context.Background(), slog.LevelWarn, "spans were lost", slog.Int("spans", items), slog.Any("error", err))
	}
}

// startTraces sends spans until endTraces.
func (a *App) startTraces(ctx context.Context) {
	if a.spans == nil {
		return
	}
	ctx, a.stopSpans = context.WithCancel(context.WithoutCancel(ctx))
	a.background.Go(func() { a.spans.Run(ctx) })
}

// endTraces sends the last spans, if that is quick, and drops what is left.
func (a *App) endTraces(ctx context.Context) {
	if a.spans == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	_ = a.spans.Close(ctx) // what is lost is counted
	a.stopSpans()
}

// closeTraces ends the connections to the collector.
func (a *App) closeTraces() error {
	if a.spanClient == nil {
		return nil
	}
	return a.spanClient.Close()
}

// checkTelemetry reads all that the configuration says of collectors.
func checkTelemetry(cfg *config.Config) error {
	settings, err := readOTLP(cfg, "")
	if err != nil {
		return err
	}
	if err := tracing.CheckSampler(settings.Sampler, settings.SamplerArg); err != nil || cfg.SyslogURL == "" {
		return err
	}
	_, err = parseSyslog(cfg)
	return err
}

// inTheClear warns of telemetry that leaves this machine without encryption.
func inTheClear(cfg *config.Config) []Finding {
	settings, err := readOTLP(cfg, "")
	if err != nil {
		return nil
	}
	for _, t := range []*otlp.Target{settings.Traces, settings.Logs} {
		if t == nil || t.TLS != nil || config.IsLoopback(t.Host()) {
			continue
		}
		return []Finding{{
			telemetryInTheClear, Warning,
			fmt.Sprintf("telemetry goes to %s in the clear, names of callers in audit records among it", t.Host()), "write https:// or grpcs://",
		}}
	}
	return nil
}

// measured returns the log as what records to it: where traces are sent, one that
// measures how long it takes to keep a record.
func (a *App) measured(log audit.Keeper) audit.Keeper { //nolint:ireturn // one of two
	if a.traces == nil {
		return log
	}
	return tracedLog{log}
}

// tracedLog measures how long records take to be kept.
type tracedLog struct{ audit.Keeper }

// Record keeps a record.
func (l tracedLog) Record(ctx context.Context, rec *audit.Record) error {
	trace := reqctx.From(ctx).Trace
	began := trace.Begin()
	err := l.Keeper.Record(ctx, rec)
	trace.End(reqctx.Audit, began, err)
	return err
}
