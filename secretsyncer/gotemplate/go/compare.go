package main

import (
	"cmp"
	"math/big"
	"reflect"
)

// eq and the other comparisons of text/template. In addition, a JSON number
// compares with integers and floats. Errors name types, where Go quotes values.

type order int

const (
	nothing order = iota
	booleans
	integers
	floats
	jsonNumbers
	texts
	complexes
	others
)

func orderOf(value reflect.Value) order {
	if !value.IsValid() {
		return nothing
	}
	switch value.Interface().(type) {
	case number, exactNumber:
		return jsonNumbers
	}
	switch {
	case value.Kind() == reflect.Bool:
		return booleans
	case value.CanInt(), value.CanUint():
		return integers
	case value.CanFloat():
		return floats
	case value.CanComplex():
		return complexes
	case value.Kind() == reflect.String:
		return texts
	}
	return others
}

func equalAny(first reflect.Value, rest ...reflect.Value) (bool, error) {
	if len(rest) == 0 {
		return false, failure("missing argument for comparison")
	}
	for _, other := range rest {
		same, err := equal(solid(first), solid(other))
		if same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func equal(a, b reflect.Value) (bool, error) {
	left, right := orderOf(a), orderOf(b)
	switch {
	case left == nothing || right == nothing:
		return left == right, nil
	case numeric(left, right):
		return compareNumbers(a, b) == 0, nil
	case left != right:
		return false, incomparable(a, b)
	case left == others && !(a.Comparable() && b.Comparable()):
		return false, incomparable(a, b)
	}
	return a.Interface() == b.Interface(), nil
}

func notEqual(a, b reflect.Value) (bool, error) {
	same, err := equal(solid(a), solid(b))
	return !same, err
}

// ordered creates lt, le, gt and ge from the result of a comparison.
func ordered(accept func(int) bool) func(a, b reflect.Value) (bool, error) {
	return func(a, b reflect.Value) (bool, error) {
		a, b = solid(a), solid(b)
		left, right := orderOf(a), orderOf(b)
		switch {
		case numeric(left, right):
			return accept(compareNumbers(a, b)), nil
		case left == texts && right == texts:
			return accept(cmp.Compare(a.String(), b.String())), nil
		}
		return false, incomparable(a, b)
	}
}

func incomparable(a, b reflect.Value) error {
	return fail("cannot compare %s with %s", kindName(a), kindName(b))
}

// numeric reports whether two numbers can be compared. An integer and a float of
// the template itself cannot, which is Go's rule.
func numeric(left, right order) bool {
	if left == jsonNumbers {
		left = right
	}
	if right == jsonNumbers {
		right = left
	}
	return left == right && (left == integers || left == floats || left == jsonNumbers)
}

// compareNumbers compares integers exactly, and everything else as float64.
func compareNumbers(a, b reflect.Value) int {
	left, leftExact := exactly(a)
	right, rightExact := exactly(b)
	if leftExact && rightExact {
		return left.Cmp(right)
	}
	return cmp.Compare(asFloat(a), asFloat(b))
}

// exactly returns the value as an integer, if it is one.
func exactly(value reflect.Value) (*big.Int, bool) {
	switch known := value.Interface().(type) {
	case exactNumber:
		return new(big.Int).SetString(known.source, 10)
	case number:
		return new(big.Int).SetString(known.text(), 10)
	}
	switch {
	case value.CanInt():
		return big.NewInt(value.Int()), true
	case value.CanUint():
		return new(big.Int).SetUint64(value.Uint()), true
	}
	return nil, false
}

func asFloat(value reflect.Value) float64 {
	if known, ok := value.Interface().(exactNumber); ok {
		return known.value
	}
	switch {
	case value.CanInt():
		return float64(value.Int())
	case value.CanUint():
		return float64(value.Uint())
	}
	return value.Float()
}
