package s3blob

// Scheme begins the URL of such a store.
const Scheme = "s3"

// CheckURL says what is wrong with the URL of a store, nil if nothing is.
func CheckURL(rawURL string) error {
	_, err := parseLocation(rawURL)
	return err
}
