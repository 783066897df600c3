use idnow_webhooks::ReceiverBuilder;

fn queued(builder: ReceiverBuilder) {
    let _ = builder.queued("sqlite:idnow-webhooks.db").build();
}

fn main() {}
