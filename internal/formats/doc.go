// Package formats decrypts what a reporter gave the key of: the ciphertext as it is
// stored, in one of the formats that messengers encrypt media with. It is used by
// the moderator's tool, on the moderator's machine; the server has no key to use it
// with.
//
// The key comes from the reporter, who may want the ciphertext of another person to
// say something else. So what counts is not only that a key fits, but that no other
// key would have fitted:
//
//  1. Nothing is written before what the format can check has been checked; of age,
//     nothing of a chunk before that chunk was authenticated.
//  2. That a key decrypts a ciphertext proves nothing in itself, save for age. A key
//     is taken for the sender's only if the format commits to it, or if it is the
//     one of the sender's commitment (Judge).
//  3. Memory does not grow with the ciphertext, save for xep-0454, which has a bound
//     (ErrTooLarge).
//  4. No key material is in an error, nor in what a Key prints, logs or marshals.
package formats
