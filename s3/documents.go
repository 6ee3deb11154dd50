package s3

import (
	"strings"

	"aistore/auth/policy"
)

// ParseVersioning reads a VersioningConfiguration: "Enabled" or "Suspended". MFA delete is not served.
func ParseVersioning(doc []byte) (string, error) {
	const op = "s3.ParseVersioning"
	root, err := parseXML(doc, "VersioningConfiguration")
	if err != nil {
		return "", err
	}
	if strings.EqualFold(root.value("MfaDelete"), "Enabled") {
		return "", E(op, "MfaDelete", "NotImplemented", "MFA delete is not implemented.")
	}
	switch s := root.value("Status"); s {
	case "Enabled", "Suspended":
		return s, nil
	}
	return "", E(op, "Status", "IllegalVersioningConfigurationException", "")
}

// AppendVersioning appends the reply to a GetBucketVersioning; status "" = never enabled.
func AppendVersioning(b []byte, status string) []byte {
	b = append(b, xmlHeader+"<VersioningConfiguration"+xmlns+">"...)
	return append(appendSome(b, "Status", status), "</VersioningConfiguration>"...)
}

// AppendLocation appends the reply to a GetBucketLocation; us-east-1 is shown as nothing, as AWS does.
func AppendLocation(b []byte, region string) []byte {
	if region == "us-east-1" {
		region = ""
	}
	b = append(b, xmlHeader+"<LocationConstraint"+xmlns+">"...)
	return append(AppendXMLText(b, region), "</LocationConstraint>"...)
}

// ParseCreateBucket reads the optional body of a CreateBucket: the region that it names, "" for none, and the bucket's tags.
func ParseCreateBucket(doc []byte) (region string, tags map[string]string, err error) {
	if len(doc) == 0 {
		return "", nil, nil
	}
	root, err := parseXML(doc, "CreateBucketConfiguration", "CreateBucketRequest")
	if err != nil {
		return "", nil, err
	}
	if set := root.child("Tags"); set != nil {
		tags, err = parseTagSet(set, maxBucketTags)
	}
	return root.value("LocationConstraint"), tags, err
}

// ParsePublicAccessBlock reads a PublicAccessBlockConfiguration.
func ParsePublicAccessBlock(doc []byte) (policy.Block, error) {
	var b policy.Block
	root, err := parseXML(doc, "PublicAccessBlockConfiguration")
	if err != nil {
		return b, err
	}
	for _, f := range [...]struct {
		name string
		to   *bool
	}{{"BlockPublicAcls", &b.BlockPublicACLs}, {"IgnorePublicAcls", &b.IgnorePublicACLs}, {"BlockPublicPolicy", &b.BlockPublicPolicy}, {"RestrictPublicBuckets", &b.RestrictPublicBuckets}} {
		v, ok := root.truthOf(f.name)
		if !ok {
			return b, malformed(f.name)
		}
		*f.to = bool(v)
	}
	return b, nil
}

// AppendPublicAccessBlock appends the document of p.
func AppendPublicAccessBlock(b []byte, p *policy.Block) []byte {
	b = append(b, xmlHeader+"<PublicAccessBlockConfiguration"+xmlns+">"...)
	b = appendTruth(b, "BlockPublicAcls", truth(p.BlockPublicACLs))
	b = appendTruth(b, "IgnorePublicAcls", truth(p.IgnorePublicACLs))
	b = appendTruth(b, "BlockPublicPolicy", truth(p.BlockPublicPolicy))
	b = appendTruth(b, "RestrictPublicBuckets", truth(p.RestrictPublicBuckets))
	return append(b, "</PublicAccessBlockConfiguration>"...)
}

// ParseOwnershipControls reads an OwnershipControls document: exactly one rule.
func ParseOwnershipControls(doc []byte) (policy.Ownership, error) {
	root, err := parseXML(doc, "OwnershipControls")
	if err != nil {
		return 0, err
	}
	if len(root.kids) != 1 || root.kids[0].name != "Rule" {
		return 0, malformed("Rule")
	}
	return policy.ParseOwnership(root.kids[0].value("ObjectOwnership"))
}

// AppendOwnershipControls appends the document of o.
func AppendOwnershipControls(b []byte, o policy.Ownership) []byte {
	b = append(b, xmlHeader+"<OwnershipControls"+xmlns+"><Rule>"...)
	b = appendText(b, "ObjectOwnership", o.String())
	return append(b, "</Rule></OwnershipControls>"...)
}

// AppendPolicyStatus appends the reply to a GetBucketPolicyStatus.
func AppendPolicyStatus(b []byte, public Presence) []byte {
	b = append(b, xmlHeader+"<PolicyStatus"+xmlns+">"...)
	return append(appendTruth(b, "IsPublic", truth(public)), "</PolicyStatus>"...)
}

// AppendRequestPayment appends the reply to a GetBucketRequestPayment: the owner always pays.
func AppendRequestPayment(b []byte) []byte {
	return append(b, xmlHeader+"<RequestPaymentConfiguration"+xmlns+"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"...)
}

// ParseRequestPayment reads a RequestPaymentConfiguration: only BucketOwner is served.
func ParseRequestPayment(doc []byte) error {
	root, err := parseXML(doc, "RequestPaymentConfiguration")
	if err != nil {
		return err
	}
	switch root.value("Payer") {
	case "BucketOwner":
		return nil
	case "Requester":
		return E("s3.ParseRequestPayment", "Payer", "NotImplemented", "Requester pays is not implemented.")
	}
	return malformed("Payer")
}

// AppendEmpty appends a document that has only a root: the reply of an unset AccelerateConfiguration,
// BucketLoggingStatus or NotificationConfiguration.
func AppendEmpty(b []byte, root string) []byte {
	return append(append(append(b, xmlHeader+"<"...), root...), xmlns+"/>"...)
}

// CheckEmpty accepts a document that switches a service off: the root has one of the names and no children. Others are NotImplemented.
func CheckEmpty(doc []byte, roots ...string) error {
	root, err := parseXML(doc, roots...)
	if err != nil {
		return err
	}
	if len(root.kids) > 0 {
		return E("s3.CheckEmpty", root.kids[0].name, "NotImplemented", "The configuration of "+root.kids[0].name+" is not implemented.")
	}
	return nil
}
