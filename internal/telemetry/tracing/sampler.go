package tracing

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// sampler decides which traces are recorded.
type sampler struct {
	// follow says that a caller's decision is taken over.
	follow bool
	// below is the bound of the trace ids that are recorded where no caller decides.
	below uint64
}

// always is the bound below which every id is.
const always = math.MaxUint64

// newSampler reads OTEL_TRACES_SAMPLER and its argument
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
func newSampler(name, arg string) (sampler, error) {
	switch name {
	case "always_on":
		return sampler{below: always}, nil
	case "always_off":
		return sampler{}, nil
	case "", "parentbased_always_on":
		return sampler{follow: true, below: always}, nil
	case "parentbased_always_off":
		return sampler{follow: true}, nil
	case "traceidratio", "parentbased_traceidratio":
		below, err := bound(arg)
		return sampler{follow: name != "traceidratio", below: below}, err
	}
	return sampler{}, errors.New("OTEL_TRACES_SAMPLER: write always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio")
}

// CheckSampler says what is wrong with the values of OTEL_TRACES_SAMPLER and
// OTEL_TRACES_SAMPLER_ARG.
func CheckSampler(name, arg string) error {
	_, err := newSampler(name, arg)
	return err
}

// bound turns a share of traces into a bound on ids.
func bound(share string) (uint64, error) {
	if share == "" {
		return always, nil
	}
	f, err := strconv.ParseFloat(share, 64)
	switch {
	case err != nil || !(f >= 0 && f <= 1):
		return 0, errors.New("OTEL_TRACES_SAMPLER_ARG: write a share of the traces from 0 to 1, such as 0.01")
	case f == 1:
		return always, nil
	}
	return uint64(f * (1 << 63) * 2), nil
}

// sample decides about a trace. The last eight bytes of its id are taken for random
// (W3C Trace Context Level 2 section 3.2.2.3): every service with the same share
// decides alike.
func (s sampler) sample(id *[16]byte, called bool, flags byte) bool {
	if called && s.follow {
		return flags&sampledFlag != 0
	}
	return s.below == always || binary.BigEndian.Uint64(id[8:]) < s.below
}
