package s3

// AppendPosted appends the reply to a POST form that asks for status 201. etag is in quotes.
func AppendPosted(b []byte, location, bucket, key, etag string) []byte {
	b = append(b, xmlHeader+"<PostResponse>"...)
	b = appendText(b, "Location", location)
	b = appendText(b, "Bucket", bucket)
	b = appendText(b, "Key", key)
	b = appendText(b, "ETag", etag)
	return append(b, "</PostResponse>"...)
}
