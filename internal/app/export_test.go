package app

import (
	"context"

	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/identity"
)

// Hold takes a place among the predictions in flight, until the function is called
// that it returns.
func (a *App) Hold(ctx context.Context) (leave func(), err error) {
	passage, err := a.admission.Model("held", admission.Limits{}).Enter(ctx, &identity.Principal{Subject: "held", Tenant: "default"}, 0)
	if err != nil {
		return nil, err
	}
	return func() { passage.Leave(false, 0) }, nil
}

// OneTenant reports whether the server knows of one tenant alone.
func (a *App) OneTenant() bool { return a.oneTenant.Load() }

// Viewing calls what is given while it has a connection to the database.
func (a *App) Viewing(ctx context.Context, call func()) error {
	return a.store.View(ctx, func(*accounts.Tx) error { call(); return nil })
}

// GRPCPlaces returns how many connections of gRPC there may be here.
func GRPCPlaces() int { return connectionsRoom().grpc() }
