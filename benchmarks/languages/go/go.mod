module github.com/mullama/mullama/benchmarks/languages/go

go 1.24

require github.com/mullama/mullama/bindings/go v0.0.0

replace github.com/mullama/mullama/bindings/go => ../../../bindings/go
