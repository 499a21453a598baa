package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"onnxgate/internal/config"
	"onnxgate/internal/telemetry/otlp"
)

// Bytes that the file system of the data directory should have, and must have: in
// strict mode a full disk refuses every request.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

// space judges what is left for the data directory, or for where it will be made.
func (d *Doctor) space(cfg *config.Config) []Finding {
	free := d.Free
	if free == nil {
		free = freeSpace
	}
	dir := existing(cfg.DataDir)
	left, err := free(dir)
	if err != nil || left >= littleSpace {
		return nil // a system that does not tell has no finding
	}
	severity := Warning
	if left < noSpace {
		severity = Error
	}
	return []Finding{{
		diskFull, severity, fmt.Sprintf("the file system of %s has %d MiB left, for the database and the audit log", dir, left>>20),
		"make room, or name a data directory on another file system with ONNXGATE_DATA_DIR",
	}}
}

// existing returns the directory, or the nearest above it that there is.
func existing(dir string) string {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// shippingFindings reach for what takes traces and audit records, and return what
// was reached for. A collector is sent a message without anything in it.
func shippingFindings(ctx context.Context, cfg *config.Config) (found []Finding, looked []string) {
	settings, err := readOTLP(cfg, "")
	if err != nil {
		return nil, nil // told as what refuses a start
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	found, looked = collectorFindings(ctx, settings)
	if cfg.SyslogURL == "" {
		return found, looked
	}
	target, err := parseSyslog(cfg)
	if err != nil {
		return found, looked
	}
	where := "syslog server " + target.String()
	return append(found, unreached(where, target.Reach(ctx), "fix ONNXGATE_SYSLOG_URL, or the network path to it")...), append(looked, where)
}

// collectorFindings ask one collector once for each kind of data. One that takes
// both and has no port open is one finding.
func collectorFindings(ctx context.Context, settings *otlp.Settings) (found []Finding, looked []string) {
	const fix = "fix ONNXGATE_OTLP_ENDPOINT or the OTEL_EXPORTER_OTLP_… settings (docs/tracing.md), or the network path to it"
	away := map[string]bool{}
	for _, to := range []struct {
		what   string
		target *otlp.Target
		signal otlp.Signal
	}{{"traces", settings.Traces, otlp.Traces}, {"audit records", settings.Logs, otlp.Logs}} {
		if to.target == nil {
			continue
		}
		host := to.target.Host()
		looked = append(looked, "collector of "+to.what+" "+host)
		if away[host] {
			continue
		}
		err := askCollector(ctx, to.target, to.signal)
		_, away[host] = errors.AsType[*net.OpError](err)
		found = append(found, unreached("collector of "+to.what+" "+host, err, fix)...)
	}
	return found, looked
}

func askCollector(ctx context.Context, target *otlp.Target, signal otlp.Signal) error {
	client, err := otlp.NewClient(target, signal, userAgent("doctor"))
	if err != nil {
		return err
	}
	return errors.Join(client.Export(ctx, nil), client.Close())
}

func unreached(where string, err error, fix string) []Finding {
	if err == nil {
		return nil
	}
	return []Finding{{shippingUnreachable, Error, fmt.Sprintf("the %s cannot be reached or accepts nothing: %v", where, err), fix}}
}
