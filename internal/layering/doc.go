// Package layering holds the dependency rule of the design as a test: who may
// import whom, where HTTP and SQL live, and what stands at the top level.
package layering
