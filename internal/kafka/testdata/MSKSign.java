import java.nio.charset.StandardCharsets;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.msk.auth.iam.internals.AWS4SignedPayloadGenerator;
import software.amazon.msk.auth.iam.internals.AuthenticationRequestParams;

/**
 * Prints the AWS_MSK_IAM payload that Amazon's library makes, one line for each group of three arguments: host,
 * session token (or ""), default region (or "").
 */
public class MSKSign {
    static final String ID = "AKIDEXAMPLE", SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 3) {
            System.setProperty("aws.region", args[i + 2]);
            AwsCredentials credentials = args[i + 1].isEmpty()
                    ? AwsBasicCredentials.create(ID, SECRET)
                    : AwsSessionCredentials.create(ID, SECRET, args[i + 1]);
            System.out.println(payload(args[i], credentials));
        }
    }

    /**
     * The library takes the time twice, for the end of the 15 minutes and for the signature; when a second passes
     * in between it writes 899. Such a payload is thrown away.
     */
    static String payload(String host, AwsCredentials credentials) throws Exception {
        for (int tries = 0; tries < 100; tries++) {
            byte[] p = new AWS4SignedPayloadGenerator()
                    .signedPayload(AuthenticationRequestParams.create(host, credentials, "java"));
            String s = new String(p, StandardCharsets.UTF_8);
            if (s.contains("\"x-amz-expires\":\"900\"")) {
                return s;
            }
        }
        throw new IllegalStateException("the library never signed for 900 seconds");
    }
}
