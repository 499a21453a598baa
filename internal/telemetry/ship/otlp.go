package ship

import (
	"context"
	"errors"
	"strconv"
	"time"

	"onnxgate/internal/telemetry/otlp"
)

// Collector is a sink that speaks OTLP.
type Collector struct {
	Exporter otlp.Exporter
	Envelope *otlp.Envelope
	// Log names the log, so that a collector can tell records that come twice
	// (log.record.uid) from those of another log.
	Log string
	// Now is when a record was read.
	Now func() time.Time
	// Rejected hears of records that the collector took and did not keep. It may be
	// nil.
	Rejected func(error)
}

// eventPrefix makes the names of events those of onnxgate.
const eventPrefix = "onnxgate.audit."

// Send sends records as logs, each with its JSON as body.
func (c *Collector) Send(ctx context.Context, records []Record) error {
	var items []byte
	now := c.Now()
	for i := range records {
		r := &records[i]
		severity := otlp.Info
		if r.Failed {
			severity = otlp.Warn
		}
		items = otlp.AppendRecord(items, &otlp.Record{
			Time: r.Time, Observed: now, Severity: severity, Event: eventPrefix + r.Event, Body: string(r.JSON),
			Attributes: []otlp.Attribute{
				otlp.Int("onnxgate.audit.index", r.Index),
				otlp.String("log.record.uid", c.Log+"/"+strconv.FormatInt(r.Index, 10)),
			},
		})
	}
	err := c.Exporter.Export(ctx, c.Envelope.Request(items))
	if _, ok := errors.AsType[*otlp.PartialError](err); ok {
		// It is not to be sent again (OTLP specification, "Partial Success").
		if c.Rejected != nil {
			c.Rejected(err)
		}
		return nil
	}
	return err
}
