package schema

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
)

type unit string

type place struct {
	City string `json:"city" doc:"The city."`
	Unit unit   `json:"unit,omitempty" enum:"celsius,fahrenheit"`
}

type tree struct {
	Name     string `json:"name"`
	Children []tree `json:"children,omitempty"`
}

type base struct {
	ID int `json:"id" min:"1" max:"9"`
}

type loop struct {
	*loop
	Name string `json:"name"`
}

type list []list

func written[T any](t *testing.T) string {
	t.Helper()
	schema, err := Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSchemasOfTypes(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{written[string](t), `{"type":"string"}`},
		{written[*bool](t), `{"type":"boolean"}`},
		{written[int8](t), `{"type":"integer"}`},
		{written[uint](t), `{"type":"integer","minimum":0}`},
		{written[float32](t), `{"type":"number"}`},
		{written[any](t), `{}`},
		{written[[]string](t), `{"type":"array","items":{"type":"string"}}`},
		{written[[2]int](t), `{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}`},
		{written[[]byte](t), `{"type":"string","description":"Base64."}`},
		{written[map[string]int](t), `{"type":"object","additionalProperties":{"type":"integer"}}`},
		{written[json.Number](t), `{"type":"number"}`},
		{written[json.RawMessage](t), `{}`},
		{written[time.Time](t), `{"type":"string","format":"date-time"}`},
		{written[big.Float](t), `{"type":"string"}`},
		{written[struct{}](t), `{"type":"object","properties":{},"additionalProperties":false}`},
		{
			written[place](t),
			`{"type":"object","properties":{"city":{"type":"string","description":"The city."},` +
				`"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["city"],"additionalProperties":false}`,
		},
		{
			written[struct {
				base
				Z      []int `enum:"3,1"`
				A      *int
				Text   int `json:",string"`
				B      int `json:"b,omitzero"`
				Hidden int `json:"-"`
				hidden int
			}](t),
			`{"type":"object","properties":{"id":{"type":"integer","minimum":1,"maximum":9},` +
				`"Z":{"type":"array","items":{"type":"integer","enum":[3,1]}},"A":{"type":"integer"},"Text":{"type":"string"},` +
				`"b":{"type":"integer"}},"required":["id","Z","Text"],"additionalProperties":false}`,
		},
		{
			written[tree](t),
			`{"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#/$defs/type1"}}},` +
				`"required":["name"],"additionalProperties":false,"$defs":{"type1":{"type":"object","properties":{"name":{"type":"string"},` +
				`"children":{"type":"array","items":{"$ref":"#/$defs/type1"}}},"required":["name"],"additionalProperties":false}}}`,
		},
		{written[loop](t), `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`},
	} {
		if c.got != c.want {
			t.Errorf("%s\nnot %s", c.got, c.want)
		}
	}
}

func TestTypesWithoutASchemaAreNamed(t *testing.T) {
	refused := func(_ *Schema, err error) error { return err }
	for want, err := range map[string]error{
		"chan int":        refused(Of[chan int]()),
		"func()":          refused(Of[[]func()]()),
		"map[int]string":  refused(Of[map[int]string]()),
		"io.Writer":       refused(Of[struct{ A interface{ Write() } }]()),
		"contains itself": refused(Of[list]()),
		`min:"1" is for numbers`: refused(Of[struct {
			A string `min:"1"`
		}]()),
		`max:"x" is for numbers`: refused(Of[struct {
			A int `max:"x"`
		}]()),
		`"two", which is no integer`: refused(Of[struct {
			A int `enum:"1,two"`
		}]()),
		`"a", which is no single value`: refused(Of[struct {
			A any `enum:"a"`
		}]()),
	} {
		if want == "io.Writer" {
			want = "interface { Write() }"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestWhatFitsAndWhatDoesNot(t *testing.T) {
	type everything struct {
		base
		Place  place          `json:"place"`
		Names  []string       `json:"names,omitempty"`
		Counts map[string]int `json:"counts,omitempty"`
		Tree   *tree          `json:"tree"`
		Share  float64        `json:"share,omitempty" min:"0" max:"1"`
		Is     *bool          `json:"is"`
	}
	schema, err := Of[everything]()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"id": 1, "place": {"city": "Bonn"}}`,
		` {"id": 9.0, "place": {"city": "", "unit": "celsius"}, "names": ["a"], "counts": {"b": 2}, "share": 0.5, "is": false} `,
		`{"id": 2, "place": {"city": "Bonn"}, "tree": {"name": "a", "children": [{"name": "b"}]}}`,
		`{"id": 2, "place": {"city": "Bonn"}, "tree": null, "names": null, "is": null}`,
	} {
		if err := schema.Check(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		``:                            "no JSON",
		`{`:                           "no JSON",
		`{} {}`:                       "more than one",
		`[]`:                          "the whole is []; it must be an object",
		`{"place": {"city": "Bonn"}}`: "id is missing",
		`{"id": 1, "place": {}}`:      "place.city is missing",
		`{"id": 1, "place": {"city": "Bonn", "land": 1}}`:                           "place.land does not exist",
		`{"id": 1, "place": {"city": 5}}`:                                           "place.city is 5; it must be a text",
		`{"id": 1, "place": null}`:                                                  "place is null; it must be an object",
		`{"id": 0, "place": {"city": ""}}`:                                          "id is 0; it must be at least 1",
		`{"id": 10, "place": {"city": ""}}`:                                         "id is 10; it must be at most 9",
		`{"id": 1.5, "place": {"city": ""}}`:                                        "id is 1.5; it must be a whole number",
		`{"id": 1, "place": {"city": "", "unit": "kelvin"}}`:                        `place.unit is "kelvin"; it must be one of ["celsius","fahrenheit"]`,
		`{"id": 1, "place": {"city": ""}, "names": [1]}`:                            "names[0] is 1; it must be a text",
		`{"id": 1, "place": {"city": ""}, "names": "a"}`:                            `names is "a"; it must be a list`,
		`{"id": 1, "place": {"city": ""}, "counts": {"a": "b"}}`:                    `counts.a is "b"; it must be a whole number`,
		`{"id": 1, "place": {"city": ""}, "share": "1"}`:                            `share is "1"; it must be a number`,
		`{"id": 1, "place": {"city": ""}, "is": 1}`:                                 "is is 1; it must be true or false",
		`{"id": 1, "place": {"city": ""}, "tree": {"name": "a", "children": [{}]}}`: "tree.children[0].name is missing",
		`{"id": "` + strings.Repeat("x", 1000) + `", "place": {"city": ""}}`:        "xxx...; it must be a whole number",
	} {
		if err := schema.Check(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v does not say %s", text, err, want)
		}
	}
	pair, err := Of[struct{ Pair [2]int }]()
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Check(`{"Pair": [1]}`); err == nil || !strings.Contains(err.Error(), "a list of 2") {
		t.Error(err)
	}
}
