package config

import (
	_ "embed"
	"slices"
)

// To write the schema anew after a change of the structs: go generate ./internal/config
//
//go:generate go test -run TestSchemaIsUpToDate -update .

//go:embed migration.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of migration.yaml, for editors and other checkers. It is made
// from the structs of this package: names, defaults, ranges and words from their tags, descriptions from
// their comments. It cannot say what [Load] checks across keys.
func Schema() []byte { return slices.Clone(schema) }
