// Package config reads the settings of every pactwire command.
//
// Layers, later ones win: the defaults in Default, a YAML file, the environment (PACTWIRE_ and the key's path in upper
// case, joined by __), and --set key=value. A key that nobody knows refuses to start, with the place where it stands
// and the nearest known key; so does a value that is not of its key's type. Durations carry a unit (15s), sizes too
// (64KiB). Secrets have a type that prints as hidden, so that no log and no `config show` gives one away.
package config
