// Package callback lets C call Go functions for the time of one call, and carries their panics past C.
package callback

import (
	"runtime/cgo"
	"unsafe"
)

// Call is a Go function that C may call until End.
type Call struct {
	Function any
	handle   *cgo.Handle // what C gets the address of: it holds no pointer
	panicked any
	failed   bool
}

// New makes a function known to C.
func New(function any) *Call {
	call := &Call{Function: function, handle: new(cgo.Handle)}
	*call.handle = cgo.NewHandle(call)
	return call
}

// User gives the pointer that C hands back with each call.
func (c *Call) User() unsafe.Pointer {
	return unsafe.Pointer(c.handle)
}

// Of finds the call that belongs to such a pointer.
func Of(user unsafe.Pointer) *Call {
	return (*cgo.Handle)(user).Value().(*Call)
}

// Catch keeps a panic of the function from unwinding through C; to be deferred around each call of it.
func (c *Call) Catch() {
	if panicked := recover(); panicked != nil {
		c.panicked, c.failed = panicked, true
	}
}

// End makes the function unknown to C again, and goes on with its panic.
func (c *Call) End() {
	c.handle.Delete()
	if c.failed {
		panic(c.panicked)
	}
}
