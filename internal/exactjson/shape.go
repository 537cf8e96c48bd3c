package exactjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// shape is what is known of a type: the fields of a struct, or what a list is of. What reads itself, or takes anything, has neither.
type shape struct {
	fields map[string]field
	elem   *shape
}

type field struct {
	shape *shape
	bit   uint64 // of its own in the object; 0 from the 65th on, which may be given twice
}

// foldsTo reports whether encoding/json would take the name for that of a field.
func (s *shape) foldsTo(name string) bool {
	for f := range s.fields {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return false
}

// shapes holds those of the types that were read so far: as many as the program has.
var shapes sync.Map // of reflect.Type to *shape

func shapeOf(into any) *shape {
	t := reflect.TypeOf(into)
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := newShape(t)
	shapes.Store(t, s)
	return s
}

var readsItself = reflect.TypeFor[json.Unmarshaler]()

// newShape looks a type up. No type that is read here holds itself.
func newShape(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(readsItself) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		s := &shape{fields: make(map[string]field, t.NumField())}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() {
				continue
			}
			if name == "" {
				name = f.Name
			}
			s.fields[name] = field{newShape(f.Type), 1 << len(s.fields)}
		}
		return s
	case reflect.Slice, reflect.Array:
		if elem := newShape(t.Elem()); elem != nil {
			return &shape{elem: elem}
		}
	}
	return nil
}
