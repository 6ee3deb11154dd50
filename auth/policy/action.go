package policy

import "strings"

// A rule says what ACLs mean for an action. Actions without one are granted by policies only (and to the bucket's owner).
type rule struct {
	on      subject
	needs   Permission
	changes bool
}

type subject uint8

const (
	nothing  subject = iota // no ACL grants it
	ofBucket                // the bucket's ACL does
	ofObject                // the object's ACL does
)

// rules is every action of S3 that a bucket policy can name. Source: "Actions, resources, and condition keys for Amazon S3" and
// "Mapping of ACL permissions and access policy permissions". Read only.
var rules = map[string]rule{
	"s3:ListBucket":                 {ofBucket, Read, false},
	"s3:ListBucketVersions":         {ofBucket, Read, false},
	"s3:ListBucketMultipartUploads": {ofBucket, Read, false},
	"s3:PutObject":                  {ofBucket, Write, true},
	"s3:DeleteObject":               {ofBucket, Write, true},
	"s3:DeleteObjectVersion":        {nothing, 0, true},
	"s3:GetBucketAcl":               {ofBucket, ReadACP, false},
	"s3:PutBucketAcl":               {ofBucket, WriteACP, true},
	"s3:GetObject":                  {ofObject, Read, false},
	"s3:GetObjectVersion":           {ofObject, Read, false},
	"s3:GetObjectTorrent":           {ofObject, Read, false},
	"s3:GetObjectAttributes":        {ofObject, Read, false},
	"s3:GetObjectVersionAttributes": {ofObject, Read, false},
	"s3:GetObjectAcl":               {ofObject, ReadACP, false},
	"s3:GetObjectVersionAcl":        {ofObject, ReadACP, false},
	"s3:PutObjectAcl":               {ofObject, WriteACP, true},
	"s3:PutObjectVersionAcl":        {ofObject, WriteACP, true},

	"s3:ListAllMyBuckets":                    {},
	"s3:CreateBucket":                        {changes: true},
	"s3:DeleteBucket":                        {changes: true},
	"s3:GetBucketLocation":                   {},
	"s3:GetBucketVersioning":                 {},
	"s3:PutBucketVersioning":                 {changes: true},
	"s3:GetBucketPolicy":                     {},
	"s3:PutBucketPolicy":                     {changes: true},
	"s3:DeleteBucketPolicy":                  {changes: true},
	"s3:GetBucketPolicyStatus":               {},
	"s3:GetBucketCORS":                       {},
	"s3:PutBucketCORS":                       {changes: true},
	"s3:GetLifecycleConfiguration":           {},
	"s3:PutLifecycleConfiguration":           {changes: true},
	"s3:GetBucketTagging":                    {},
	"s3:PutBucketTagging":                    {changes: true},
	"s3:GetBucketPublicAccessBlock":          {},
	"s3:PutBucketPublicAccessBlock":          {changes: true},
	"s3:GetAccountPublicAccessBlock":         {},
	"s3:PutAccountPublicAccessBlock":         {changes: true},
	"s3:GetBucketOwnershipControls":          {},
	"s3:PutBucketOwnershipControls":          {changes: true},
	"s3:GetEncryptionConfiguration":          {},
	"s3:PutEncryptionConfiguration":          {changes: true},
	"s3:GetBucketLogging":                    {},
	"s3:PutBucketLogging":                    {changes: true},
	"s3:GetBucketWebsite":                    {},
	"s3:PutBucketWebsite":                    {changes: true},
	"s3:DeleteBucketWebsite":                 {changes: true},
	"s3:GetBucketNotification":               {},
	"s3:PutBucketNotification":               {changes: true},
	"s3:GetReplicationConfiguration":         {},
	"s3:PutReplicationConfiguration":         {changes: true},
	"s3:GetBucketRequestPayment":             {},
	"s3:PutBucketRequestPayment":             {changes: true},
	"s3:GetAccelerateConfiguration":          {},
	"s3:PutAccelerateConfiguration":          {changes: true},
	"s3:GetBucketObjectLockConfiguration":    {},
	"s3:PutBucketObjectLockConfiguration":    {changes: true},
	"s3:GetAnalyticsConfiguration":           {},
	"s3:PutAnalyticsConfiguration":           {changes: true},
	"s3:GetInventoryConfiguration":           {},
	"s3:PutInventoryConfiguration":           {changes: true},
	"s3:GetMetricsConfiguration":             {},
	"s3:PutMetricsConfiguration":             {changes: true},
	"s3:GetIntelligentTieringConfiguration":  {},
	"s3:PutIntelligentTieringConfiguration":  {changes: true},
	"s3:GetBucketMetadataTableConfiguration": {},

	"s3:GetObjectTagging":                 {},
	"s3:GetObjectVersionTagging":          {},
	"s3:PutObjectTagging":                 {changes: true},
	"s3:PutObjectVersionTagging":          {changes: true},
	"s3:DeleteObjectTagging":              {changes: true},
	"s3:DeleteObjectVersionTagging":       {changes: true},
	"s3:ListMultipartUploadParts":         {},
	"s3:AbortMultipartUpload":             {changes: true},
	"s3:GetObjectLegalHold":               {},
	"s3:PutObjectLegalHold":               {changes: true},
	"s3:GetObjectRetention":               {},
	"s3:PutObjectRetention":               {changes: true},
	"s3:BypassGovernanceRetention":        {changes: true},
	"s3:RestoreObject":                    {changes: true},
	"s3:GetObjectVersionTorrent":          {},
	"s3:GetObjectVersionForReplication":   {},
	"s3:ReplicateObject":                  {changes: true},
	"s3:ReplicateDelete":                  {changes: true},
	"s3:ReplicateTags":                    {changes: true},
	"s3:ObjectOwnerOverrideToBucketOwner": {changes: true},
	"s3:InitiateReplication":              {changes: true},
	"s3:PostBucketLogging":                {changes: true},
	"s3:PutObjectFanOut":                  {changes: true},
	"s3:RenameObject":                     {changes: true},
}

// ruleOf returns the rule of an action; one that is not known changes things, and no ACL grants it.
func ruleOf(action string) rule {
	if r, ok := rules[action]; ok {
		return r
	}
	return rule{changes: true}
}

// managesPolicy reports whether the owner of a bucket (and an admin) may do action whatever the policy says, so that a policy cannot
// lock everybody out.
func managesPolicy(action string) bool {
	return action == "s3:GetBucketPolicy" || action == "s3:PutBucketPolicy" || action == "s3:DeleteBucketPolicy"
}

// knownAction reports whether a lower-case pattern can match an action at all.
func knownAction(pattern string) bool {
	if pattern == "*" {
		return true
	}
	if !strings.HasPrefix(pattern, "s3:") {
		return false
	}
	for action := range rules {
		if matchFold(pattern, action) {
			return true
		}
	}
	return false
}
