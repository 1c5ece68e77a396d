// Package schema makes JSON schemas of Go types, and checks JSON against them.
package schema

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schema is the JSON schema of a Go type: what encoding/json reads into it, and what its tags say.
type Schema struct {
	Ref         string     `json:"$ref,omitempty"`
	Type        string     `json:"type,omitempty"`
	Format      string     `json:"format,omitempty"`
	Description string     `json:"description,omitempty"`
	Enum        []any      `json:"enum,omitempty"`
	Minimum     *float64   `json:"minimum,omitempty"`
	Maximum     *float64   `json:"maximum,omitempty"`
	Items       *Schema    `json:"items,omitempty"`
	MinItems    *int       `json:"minItems,omitempty"`
	MaxItems    *int       `json:"maxItems,omitempty"`
	Properties  properties `json:"properties,omitzero"`
	Required    []string   `json:"required,omitempty"`
	// False, or the schema of the values of a map; nil where it is no object.
	AdditionalProperties any        `json:"additionalProperties,omitempty"`
	Definitions          properties `json:"$defs,omitempty"`
}

// properties keep the order of the fields, in which a model writes them.
type properties []property

type property struct {
	name   string
	schema *Schema
}

// MarshalJSON writes them as an object.
func (p properties) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, one := range p {
		name, err := json.Marshal(one.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.schema)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func (p properties) find(name string) *Schema {
	for _, one := range p {
		if one.name == name {
			return one.schema
		}
	}
	return nil
}

var (
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType   = reflect.TypeFor[json.Unmarshaler]()
	numberType = reflect.TypeFor[json.Number]()
	timeType   = reflect.TypeFor[time.Time]()
)

// Of makes the schema of a type. Types that contain themselves become definitions.
func Of[T any]() (*Schema, error) {
	w := writer{open: map[reflect.Type]bool{}, names: map[reflect.Type]string{}}
	found, err := w.of(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	if found.Ref != "" { // what is asked for must be seen to be an object
		whole := *w.definitions[len(w.definitions)-1].schema
		found = &whole
	}
	found.Definitions = w.definitions
	return found, nil
}

type writer struct {
	open        map[reflect.Type]bool   // types that are being written
	names       map[reflect.Type]string // of those that contain themselves
	definitions properties
}

func (w *writer) of(t reflect.Type) (*Schema, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == numberType:
		return &Schema{Type: "number"}, nil
	case t == timeType:
		return &Schema{Type: "string", Format: "date-time"}, nil
	case reflect.PointerTo(t).Implements(jsonType):
		return &Schema{}, nil
	case reflect.PointerTo(t).Implements(textType):
		return &Schema{Type: "string"}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &Schema{Type: "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &Schema{Type: "integer", Minimum: new(float64)}, nil
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}, nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return &Schema{}, nil
		}
	case reflect.Slice, reflect.Array:
		return w.list(t)
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			values, err := w.inside(t)
			return &Schema{Type: "object", AdditionalProperties: values}, err
		}
	case reflect.Struct:
		return w.object(t)
	}
	return nil, fmt.Errorf("%v has no JSON schema", t)
}

// inside gives the schema of what a list or map holds.
func (w *writer) inside(t reflect.Type) (*Schema, error) {
	if w.open[t] {
		return nil, fmt.Errorf("%v contains itself; only a struct can", t)
	}
	w.open[t] = true
	defer delete(w.open, t)
	return w.of(t.Elem())
}

func (w *writer) list(t reflect.Type) (*Schema, error) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return &Schema{Type: "string", Description: "Base64."}, nil
	}
	items, err := w.inside(t)
	list := &Schema{Type: "array", Items: items}
	if t.Kind() == reflect.Array {
		size := t.Len()
		list.MinItems, list.MaxItems = &size, &size
	}
	return list, err
}

func (w *writer) object(t reflect.Type) (*Schema, error) {
	if w.open[t] {
		if w.names[t] == "" {
			w.names[t] = fmt.Sprintf("type%d", len(w.names)+1)
		}
		return &Schema{Ref: "#/$defs/" + w.names[t]}, nil
	}
	w.open[t] = true
	defer delete(w.open, t)
	object := &Schema{Type: "object", Properties: properties{}, AdditionalProperties: false}
	if err := w.addFields(object, t); err != nil {
		return nil, err
	}
	if name := w.names[t]; name != "" {
		w.definitions = append(w.definitions, property{name, object})
		return &Schema{Ref: "#/$defs/" + name}, nil
	}
	return object, nil
}

// addFields adds the fields of a struct, and those of the structs that it embeds; `within` are those that embed it.
func (w *writer) addFields(object *Schema, t reflect.Type, within ...reflect.Type) error {
	within = append(within, t)
	for i := range t.NumField() {
		field := t.Field(i)
		if inner := embedded(field); inner != nil {
			if slices.Contains(within, inner) {
				continue
			}
			if err := w.addFields(object, inner, within...); err != nil {
				return err
			}
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" && options == "" {
			continue
		}
		value, err := w.of(field.Type)
		if err == nil {
			value, err = tagged(value, field, strings.Split(options, ","))
		}
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, field.Name, err)
		}
		name = cmp.Or(name, field.Name)
		object.Properties = append(object.Properties, property{name, value})
		isOptional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if !isOptional && field.Type.Kind() != reflect.Pointer {
			object.Required = append(object.Required, name)
		}
	}
	return nil
}

// embedded gives the struct whose fields stand in another's place; nil for a field of its own.
func embedded(field reflect.StructField) reflect.Type {
	inner := field.Type
	if inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if !field.Anonymous || name != "" || inner.Kind() != reflect.Struct {
		return nil
	}
	return inner
}

// tagged adds what the tags of a field say; of a list `enum`, `min` and `max` are about its items.
func tagged(value *Schema, field reflect.StructField, options []string) (*Schema, error) {
	if slices.Contains(options, "string") && value.Type != "string" {
		value = &Schema{Type: "string"}
	}
	about := value
	if value.Type == "array" {
		about = value.Items
	}
	if words, ok := field.Tag.Lookup("enum"); ok {
		for _, word := range strings.Split(words, ",") {
			one, err := constant(about.Type, word)
			if err != nil {
				return nil, err
			}
			about.Enum = append(about.Enum, one)
		}
	}
	for name, place := range map[string]**float64{"min": &about.Minimum, "max": &about.Maximum} {
		word, ok := field.Tag.Lookup(name)
		if !ok {
			continue
		}
		number, err := strconv.ParseFloat(word, 64)
		if err != nil || about.Type != "integer" && about.Type != "number" {
			return nil, fmt.Errorf("the tag %s:%q is for numbers", name, word)
		}
		*place = &number
	}
	if doc := field.Tag.Get("doc"); doc != "" && value.Ref == "" {
		value.Description = doc
	}
	return value, nil
}

// constant is a word of the tag `enum` as JSON has it.
func constant(kind, word string) (any, error) {
	switch kind {
	case "string":
		return word, nil
	case "integer", "number":
		if number, err := strconv.ParseFloat(word, 64); err == nil {
			return number, nil
		}
	}
	return nil, fmt.Errorf("the tag enum has %q, which is no %s", word, cmp.Or(kind, "single value"))
}

// Check says what is wrong with a JSON text; nil: it fits.
func (s *Schema) Check(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("they are no JSON: %w", err)
	}
	if decoder.More() {
		return errors.New("they are more than one JSON value")
	}
	return s.checkValue(value, "", s.Definitions)
}

func (s *Schema) checkValue(value any, place string, definitions properties) error {
	if s.Ref != "" {
		s = definitions.find(strings.TrimPrefix(s.Ref, "#/$defs/"))
	}
	wrong := func(text string) error {
		shown, _ := json.Marshal(value)
		if len(shown) > 60 {
			shown = append(shown[:57], "..."...)
		}
		return fmt.Errorf("%s is %s; it must be %s", cmp.Or(place, "the whole"), shown, text)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		words, _ := json.Marshal(s.Enum)
		return wrong("one of " + string(words))
	}
	switch s.Type {
	case "string":
		if _, ok := value.(string); !ok {
			return wrong("a text")
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return wrong("true or false")
		}
	case "integer", "number":
		number, ok := value.(float64)
		if !ok || s.Type == "integer" && number != math.Trunc(number) {
			return wrong(map[string]string{"integer": "a whole number", "number": "a number"}[s.Type])
		}
		if s.Minimum != nil && number < *s.Minimum {
			return wrong(fmt.Sprintf("at least %v", *s.Minimum))
		}
		if s.Maximum != nil && number > *s.Maximum {
			return wrong(fmt.Sprintf("at most %v", *s.Maximum))
		}
	case "array":
		list, ok := value.([]any)
		if !ok {
			return wrong("a list")
		}
		if s.MaxItems != nil && len(list) != *s.MaxItems {
			return wrong(fmt.Sprintf("a list of %d", *s.MaxItems))
		}
		for i, item := range list {
			if err := s.Items.checkValue(item, fmt.Sprintf("%s[%d]", place, i), definitions); err != nil {
				return err
			}
		}
	case "object":
		fields, ok := value.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return s.checkFields(fields, place, definitions)
	}
	return nil
}

func (s *Schema) checkFields(fields map[string]any, place string, definitions properties) error {
	inside := func(name string) string { return strings.TrimPrefix(place+"."+name, ".") }
	for _, name := range s.Required {
		if _, ok := fields[name]; !ok {
			return fmt.Errorf("%s is missing", inside(name))
		}
	}
	for name, field := range fields {
		known := s.Properties.find(name)
		if known == nil {
			known, _ = s.AdditionalProperties.(*Schema)
		}
		if known == nil {
			return fmt.Errorf("%s does not exist", inside(name))
		}
		isAbsent := field == nil && !slices.Contains(s.Required, name)
		if err := known.checkValue(field, inside(name), definitions); err != nil && !isAbsent {
			return err
		}
	}
	return nil
}
