package admission

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

// The models of tenants come and go under new names, and what bounds them is forgotten
// with them; versions of a model share it as long as there is one.
func TestTheBoundsOfModelsThatAreGoneAreForgotten(t *testing.T) {
	c, err := New(Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	stays := c.Model("stays", Limits{Concurrency: 1})
	for i := range 1000 {
		c.Model(fmt.Sprint("gone", i), Limits{Concurrency: 1})
	}
	if c.Model("stays", Limits{Concurrency: 2}).gate != stays.gate {
		t.Error("a version has a bound of its own")
	}
	testkit.Eventually(t, "the others are forgotten", func() bool {
		runtime.GC()
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.gates) == 1
	})
	if c.Model("stays", Limits{Concurrency: 3}).gate != stays.gate {
		t.Error("the bound of a model that there is was forgotten")
	}
	runtime.KeepAlive(stays)
}
