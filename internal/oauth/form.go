package oauth

import (
	"errors"
	"reflect"

	"github.com/go-playground/validator/v10"
)

// newValidator returns a validator that names fields as the form does.
func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("form") })
	return v
}

// checkForm checks the parameters of a grant by their tags.
func checkForm(validate *validator.Validate, form any) error {
	err := validate.Struct(form)
	if faults, ok := errors.AsType[validator.ValidationErrors](err); ok {
		return invalidRequest("The parameter " + faults[0].Field() + " is missing")
	}
	return err
}
