package layout

// #cgo pkg-config: mullama
import "C"
