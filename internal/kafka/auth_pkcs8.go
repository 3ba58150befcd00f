package kafka

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// Encrypted PKCS#8 keys (RFC 5958 in the PBES2 form of RFC 8018), which Kafka's PEM stores allow with
// ssl.key.password (KIP-651). The scrypt and PBES1 forms are refused in words.

// maxPBKDF2Iterations bounds the work that a damaged file can ask for; OpenSSL writes 2,048, Java 10,000.
const maxPBKDF2Iterations = 10_000_000

var errKeyPassword = errors.New("the key's password is wrong, or the key is damaged")

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidDESEDE3CBC = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
)

type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Encrypted []byte
}

type pbes2Params struct {
	KeyDerivation pkix.AlgorithmIdentifier
	Encryption    pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// decryptPKCS8 returns the DER of the plain PKCS#8 key. A wrong password shows as errKeyPassword, or, once in
// 256 times, as a key that does not parse.
func decryptPKCS8(der []byte, password Secret) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("its encrypted key is damaged: %w", err)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("its key is encrypted with %s: rewrite it with openssl pkcs8 -topk8 -v2 aes256", info.Algorithm.Algorithm)
	}
	var params pbes2Params
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, fmt.Errorf("its encrypted key is damaged: %w", err)
	}
	newBlock, keyLen, err := pbes2Cipher(params.Encryption.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbes2Key(params.KeyDerivation, password, keyLen)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, fmt.Errorf("its encrypted key is damaged: %w", err)
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	return decryptCBC(block, iv, info.Encrypted)
}

func pbes2Cipher(alg asn1.ObjectIdentifier) (func([]byte) (cipher.Block, error), int, error) {
	switch {
	case alg.Equal(oidAES128CBC):
		return aes.NewCipher, 16, nil
	case alg.Equal(oidAES192CBC):
		return aes.NewCipher, 24, nil
	case alg.Equal(oidAES256CBC):
		return aes.NewCipher, 32, nil
	case alg.Equal(oidDESEDE3CBC):
		return des.NewTripleDESCipher, 24, nil
	}
	return nil, 0, fmt.Errorf("its key is encrypted with cipher %s: rewrite it with openssl pkcs8 -topk8 -v2 aes256", alg)
}

func pbes2Key(kdf pkix.AlgorithmIdentifier, password Secret, keyLen int) ([]byte, error) {
	if !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("its key is protected by key derivation %s: rewrite it with openssl pkcs8 -topk8 -v2 aes256", kdf.Algorithm)
	}
	var p pbkdf2Params
	if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
		return nil, fmt.Errorf("its encrypted key is damaged: %w", err)
	}
	if p.Iterations < 1 || p.Iterations > maxPBKDF2Iterations {
		return nil, fmt.Errorf("its encrypted key asks for %d iterations: rewrite it with openssl pkcs8 -topk8 -v2 aes256", p.Iterations)
	}
	var h func() hash.Hash
	switch prf := p.PRF.Algorithm; {
	case len(prf) == 0, prf.Equal(oidHMACSHA1): // SHA-1 is the default of the format
		h = sha1.New
	case prf.Equal(oidHMACSHA256):
		h = sha256.New
	case prf.Equal(oidHMACSHA384):
		h = sha512.New384
	case prf.Equal(oidHMACSHA512):
		h = sha512.New
	default:
		return nil, fmt.Errorf("its key is protected by hash %s: rewrite it with openssl pkcs8 -topk8 -v2 aes256", prf)
	}
	return pbkdf2.Key(h, password.Reveal(), p.Salt, p.Iterations, keyLen)
}

// decryptCBC undoes cipher block chaining and the PKCS#7 padding.
func decryptCBC(block cipher.Block, iv, data []byte) ([]byte, error) {
	n := block.BlockSize()
	if len(iv) != n || len(data) == 0 || len(data)%n != 0 {
		return nil, errors.New("its encrypted key is damaged: the length is not a multiple of the cipher's block")
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, data)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > n {
		return nil, errKeyPassword
	}
	for _, b := range out[len(out)-pad:] {
		if int(b) != pad {
			return nil, errKeyPassword
		}
	}
	return out[:len(out)-pad], nil
}
