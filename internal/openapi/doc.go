// Package openapi is generated from openapi.yaml at the top level: types, chi
// server with strict handlers, client. Change the document, then run
//
//	go generate ./internal/openapi
//
// The types are the API's, not the domain's: they do not leave internal/api and
// internal/client.
package openapi

import _ "embed" // for the document

// Document is openapi.yaml, for GET /openapi.yaml and for the request validation. An
// embedded file cannot lie above its package, so generation copies it here.
//
//go:embed openapi.gen.yaml
var Document []byte

//go:generate cp ../../openapi.yaml openapi.gen.yaml
//go:generate go tool oapi-codegen -config server.yaml ../../openapi.yaml
//go:generate go tool oapi-codegen -config client.yaml ../../openapi.yaml
