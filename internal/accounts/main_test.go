package accounts_test

import (
	"testing"

	"go.uber.org/goleak"

	"onnxgate/internal/accounts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// administrator may change everything.
var administrator = accounts.Actor{Name: "administrator", Tenant: accounts.AnyTenant}
