package config

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// yamlFile is a koanf parser that keeps every scalar as it was written, so that a secret of digits stays a string, and
// remembers the line of each key.
type yamlFile struct {
	lines map[string]int
}

// Unmarshal implements koanf.Parser.
func (y *yamlFile) Unmarshal(b []byte) (map[string]any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if doc.Kind == 0 || len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return map[string]any{}, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("line 1: a list of keys and values is expected")
	}
	return y.section(doc.Content[0], "")
}

// Marshal implements koanf.Parser; nothing is written through it.
func (y *yamlFile) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("not supported")
}

func (y *yamlFile) section(n *yaml.Node, prefix string) (map[string]any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		if _, twice := m[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice, first in line %d", key.Line, path, y.lines[path])
		}
		y.lines[path] = key.Line
		v, err := y.value(value, path)
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	return m, nil
}

func (y *yamlFile) value(n *yaml.Node, path string) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return y.section(n, path+".")
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := y.value(item, path)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		if isNull(n) {
			return "", nil
		}
		return n.Value, nil
	default:
		return nil, fmt.Errorf("line %d: %s: aliases are not supported", n.Line, path)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
