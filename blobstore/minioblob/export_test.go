package minioblob

// NewTestBucket is for the tests beside this package.
var NewTestBucket = newBucket
