package schema

import "unicode/utf8"

// allowed reports whether v is in the enum.
func (f *field) allowed(v *value) bool {
	switch f.info.class {
	case classFloat:
		return f.floats[f.held(v.f)]
	case classInt:
		return f.ints[v.i]
	case classUint:
		return f.uints[v.u]
	case classString, classBool:
	}
	_, ok := f.strings[v.s]
	return ok
}

// fits reports whether v keeps every rule.
func (f *field) fits(v *value) bool {
	switch f.info.class {
	case classFloat:
		if !(v.f >= f.flo && v.f <= f.fhi) {
			return v.null && f.Nullable
		}
	case classInt:
		if v.i < f.ilo || v.i > f.ihi {
			return false
		}
	case classUint:
		if v.u < f.ulo || v.u > f.uhi {
			return false
		}
	case classString:
		if f.MaxLength > 0 && len(v.s) > f.MaxLength && utf8.RuneCountInString(v.s) > f.MaxLength {
			return false
		}
		if f.pattern != nil && !f.pattern.MatchString(v.s) {
			return false
		}
	case classBool:
		return true
	}
	return len(f.Enum) == 0 || f.allowed(v)
}

// broken returns the detail of the first rule that v breaks, or "".
func (f *field) broken(v *value) string {
	if v.null && f.Nullable {
		return ""
	}
	for i := range f.rules {
		if r := &f.rules[i]; !f.holds(r, v) {
			return f.against(r, v)
		}
	}
	if !f.fits(v) {
		return f.typeRange()
	}
	return ""
}

func (f *field) holds(r *rule, v *value) bool {
	switch r.tag {
	case "enum":
		return f.allowed(v)
	case "max":
		return utf8.RuneCountInString(v.s) <= f.MaxLength
	case "pattern":
		return f.pattern.MatchString(v.s)
	default:
		return r.holds(v)
	}
}

// against says that v breaks a rule; of a word that is none of a list, which.
func (f *field) against(r *rule, v *value) string {
	const shown = 40
	if text := f.format(v); r.tag == "enum" && len(text) <= shown {
		return r.detail + ", not " + text
	}
	return r.detail
}
