package policy

// ActionOf returns the IAM action of an S3 operation, such as s3:GetObjectVersion for GetObject with a version id,
// "" for an unknown operation.
func ActionOf(operation, versionID string) string { return "" }
