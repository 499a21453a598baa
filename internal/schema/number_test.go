package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// numerals draws numbers of the JSON grammar, most of them awkward.
func numerals(r *rand.Rand, n int) []string {
	digits := func(most int) string {
		var b strings.Builder
		for range 1 + r.IntN(most) {
			b.WriteByte("0000123456789999"[r.IntN(16)])
		}
		return b.String()
	}
	texts := []string{
		"0", "-0", "0.0", "0e5", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"1844674407370955161.5e1", "0.18446744073709551615e20", "18446744073709551615000e-3", "184467440737095516160e-1", "9007199254740993",
		"1e22", "1e23", "123456789012345678", "0.1", "4503599627370497.5", "2.2250738585072011e-308", "9999999999999999", "1.7976931348623159e308",
	}
	for range n {
		s := strings.TrimLeft(digits(24), "0")
		if s == "" {
			s = "0"
		}
		if r.IntN(2) == 0 {
			s = "-" + s
		}
		if r.IntN(2) == 0 {
			s += "." + digits(24)
		}
		if r.IntN(2) == 0 {
			s += []string{"e", "E", "e+", "e-"}[r.IntN(4)] + strconv.Itoa(r.IntN(30))
		}
		texts = append(texts, s)
	}
	return texts
}

func TestParseIntIsExact(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 64)
	var seen [intOverflow + 1]int
	for _, text := range numerals(rand.New(rand.NewPCG(1, 2)), 20000) {
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		negative, magnitude, status := parseInt([]byte(text))
		seen[status]++
		abs := new(big.Rat).Abs(exact)
		want := intOK
		switch {
		case !exact.IsInt():
			want = intFraction
		case abs.Num().Cmp(limit) >= 0:
			want = intOverflow
		}
		if status != want {
			t.Errorf("%s: status %d, want %d", text, status, want)
		} else if status == intOK && (magnitude != abs.Num().Uint64() || negative != strings.HasPrefix(text, "-")) {
			t.Errorf("%s: %v %d", text, negative, magnitude)
		}
	}
	if slices.Contains(seen[:], 0) {
		t.Errorf("statuses seen: %v", seen)
	}
}

func TestParseFloatRoundsToNearest(t *testing.T) {
	for _, text := range numerals(rand.New(rand.NewPCG(3, 4)), 20000) {
		want, _ := strconv.ParseFloat(text, 64)
		if got := parseFloat([]byte(text)); math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestAppendFloatIsShortestAndRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 20000 {
		single := math.Float32frombits(r.Uint32())
		double := math.Float64frombits(r.Uint64())
		if i%2 == 0 {
			single, double = float32(r.IntN(1000))/100, float64(r.IntN(1000))/100
		}
		for _, x := range []struct {
			value float64
			bits  int
			like  any
		}{{float64(single), 32, single}, {double, 64, double}} {
			if math.IsNaN(x.value) || math.IsInf(x.value, 0) {
				continue
			}
			want, err := json.Marshal(x.like) // also ECMAScript's notation
			if err != nil {
				t.Fatal(err)
			}
			got := string(appendFloat([]byte("x"), x.value, x.bits))
			if got != "x"+string(want) {
				t.Errorf("%v: %s, want %s", x.like, got, want)
			}
		}
	}
	for x, want := range map[float64]string{1: "1", 0: "0", -1: "-1", 1e21: "1e+21", 1e-6: "0.000001", 1e-7: "1e-7", 123456789: "123456789"} {
		if got := string(appendFloat(nil, x, 64)); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
	if got := string(appendFloat(nil, math.Copysign(0, -1), 32)); got != "-0" {
		t.Errorf("negative zero: %s", got)
	}
}

func TestNearestName(t *testing.T) {
	known := []string{"sepal_length", "sepal_width", "Petal Length (cm)", "x", "größe"}
	folded := make([]string, len(known))
	for i, k := range known {
		folded[i] = fold(k)
	}
	for name, want := range map[string]string{
		"sepal_lnegth": "sepal_length", "sepalwidth": "sepal_width", "petal length": "Petal Length (cm)",
		"groesse": "", "größes": "größe", "zz": "", "": "", "___": "",
		strings.Repeat("Ⱥ", 30): "", strings.Repeat("x", 65): "",
	} {
		got := ""
		if i := nearest(name, folded, new(suggestWork)); i >= 0 {
			got = known[i]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	work := 10
	if i := nearest("sepal_lnegth", folded, &work); i >= 0 {
		t.Error("a suggestion without the work for it")
	}
}

func TestPointersAreFragments(t *testing.T) {
	for pointer, want := range map[string]string{
		"": "#", "/": "#/", "/a~1b~0/0": "#/a~1b~0/0", "/é %": "#/%C3%A9%20%25",
		"/" + strings.Repeat("é", 40): "#/" + strings.Repeat("%C3%A9", 32) + "%E2%80%A6",
	} {
		if got := fragment(pointer); got != want {
			t.Errorf("fragment(%q) = %s, want %s", pointer, got, want)
		}
	}
	if got := truncated(strings.Repeat("€", 30)); got != strings.Repeat("€", 21)+"…" {
		t.Errorf("truncated in the middle of a code point: %s", fmt.Sprintf("%q", got))
	}
}
