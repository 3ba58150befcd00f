import java.io.FileInputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.JaasContext;

/** Prints what java.util.Properties or Kafka's JAAS parser reads from each file, as one line of JSON a file. */
public class JavaParsers {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (int i = 1; i < args.length; i++) {
            out.println(json(args[0].equals("jaas") ? jaas(args[i]) : properties(args[i])));
        }
    }

    static Map<String, String> properties(String file) throws Exception {
        Properties p = new Properties();
        try (InputStream in = new FileInputStream(file)) {
            p.load(in);
        }
        Map<String, String> m = new TreeMap<>();
        for (String k : p.stringPropertyNames()) {
            m.put(k, p.getProperty(k));
        }
        return m;
    }

    static Map<String, String> jaas(String file) throws Exception {
        Map<String, String> m = new TreeMap<>();
        String text = Files.readString(Path.of(file));
        try {
            Map<String, Object> config = Map.of(SaslConfigs.SASL_JAAS_CONFIG, new Password(text));
            AppConfigurationEntry e = JaasContext.loadClientContext(config).configurationEntries().get(0);
            m.put("class", e.getLoginModuleName());
            for (Map.Entry<String, ?> o : e.getOptions().entrySet()) {
                m.put("option " + o.getKey(), String.valueOf(o.getValue()));
            }
        } catch (Exception e) {
            m.put("refused", String.valueOf(e.getMessage()));
        }
        return m;
    }

    static String json(Map<String, String> m) {
        StringBuilder b = new StringBuilder("{");
        for (Map.Entry<String, String> e : m.entrySet()) {
            b.append(b.length() > 1 ? "," : "").append(quote(e.getKey())).append(":").append(quote(e.getValue()));
        }
        return b.append("}").toString();
    }

    static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            b.append(c < ' ' || c > '~' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return b.append('"').toString();
    }
}
