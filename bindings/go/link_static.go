//go:build mullama_static

package mullama

// #cgo pkg-config: mullama-static
import "C"
