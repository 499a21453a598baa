//go:build !amd64 || purego

package linalg

func tileFloat32(target[float32], Matrix[float32], []float32, int, int) bool { return false }

func tileFloat64(target[float64], Matrix[float64], []float64, int, int) bool { return false }

func dotFloat32(a, b []float32) float32 { return dotGo(a, b) }

func dotFloat64(a, b []float64) float64 { return dotGo(a, b) }

func distanceFloat32(a, b []float32) float32 { return distanceGo(a, b) }

func distanceFloat64(a, b []float64) float64 { return distanceGo(a, b) }
