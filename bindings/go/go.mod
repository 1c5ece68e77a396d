module github.com/mullama/mullama/bindings/go

go 1.24
