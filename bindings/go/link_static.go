//go:build mullama_static

package mullama

// The archive is named by its file: beside it lies the shared library, which the linker would prefer.

// #cgo pkg-config: --static mullama
// #cgo linux LDFLAGS: -l:libmullama.a -Wl,--as-needed
import "C"
